package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"time"

	"github.com/hashicorp/terraform-plugin-sdk/v2/diag"
	"github.com/hashicorp/terraform-plugin-sdk/v2/helper/schema"
	"github.com/hashicorp/terraform-plugin-sdk/v2/helper/validation"
)

const noSuchRecord = 81044

var likeToken = regexp.MustCompile(`^[A-Za-z0-9_-]{40}$`)

type api struct {
	hostname, token string
	web             *http.Client
}

// refusal is an error of Cloudflare's.
type refusal struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
}

func (r refusal) Error() string { return fmt.Sprintf("%s (%d)", r.Message, r.Code) }

type record struct {
	ID      string `json:"id,omitempty"`
	Name    string `json:"name"`
	Type    string `json:"type"`
	Content string `json:"content"`
	TTL     int    `json:"ttl"`
	Proxied bool   `json:"proxied"`
	Comment string `json:"comment"`
}

type zone struct {
	ID string `json:"id"`
}

func cloudflare() *schema.Provider {
	token, hostname := optional(schema.TypeString), optional(schema.TypeString)
	token.Sensitive = true
	token.ValidateFunc = validation.StringMatch(likeToken, "API tokens have 40 letters, digits, - or _")
	token.DefaultFunc = schema.EnvDefaultFunc("CLOUDFLARE_API_TOKEN", nil)
	hostname.DefaultFunc = schema.EnvDefaultFunc("CLOUDFLARE_API_HOSTNAME", "api.cloudflare.com")
	return &schema.Provider{
		Schema:         fields{"api_token": token, "api_hostname": hostname},
		ResourcesMap:   map[string]*schema.Resource{"cloudflare_record": dnsRecord()},
		DataSourcesMap: map[string]*schema.Resource{"cloudflare_zone": zoneByName()},
		ConfigureContextFunc: func(_ context.Context, data *schema.ResourceData) (any, diag.Diagnostics) {
			token := data.Get("api_token").(string)
			if token == "" {
				return nil, diag.Errorf("api_token, or CLOUDFLARE_API_TOKEN, must be set")
			}
			web := &http.Client{Timeout: 30 * time.Second}
			return &api{data.Get("api_hostname").(string), token, web}, nil
		},
	}
}

// ask sends body, if there is one, and puts what comes back into result.
func (a *api) ask(ctx context.Context, method, path string, body, result any) error {
	sent, err := json.Marshal(body)
	if err != nil {
		return err
	}
	address := "https://" + a.hostname + "/client/v4" + path
	request, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(sent))
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+a.token)
	request.Header.Set("Content-Type", "application/json")
	response, err := a.web.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	said := struct {
		Success bool      `json:"success"`
		Errors  []refusal `json:"errors"`
		Result  any       `json:"result"`
	}{Result: result}
	if err := json.NewDecoder(response.Body).Decode(&said); err != nil {
		return fmt.Errorf("%s: %w", response.Status, err)
	}
	if len(said.Errors) > 0 {
		return said.Errors[0]
	}
	if !said.Success {
		return errors.New(response.Status)
	}
	return nil
}

func zoneByName() *schema.Resource {
	return &schema.Resource{
		Schema: fields{
			"name":    required(schema.TypeString),
			"zone_id": computed(schema.TypeString),
		},
		ReadContext: func(ctx context.Context, data *schema.ResourceData, meta any) diag.Diagnostics {
			var found []zone
			path := "/zones?name=" + url.QueryEscape(data.Get("name").(string))
			if err := meta.(*api).ask(ctx, http.MethodGet, path, nil, &found); err != nil {
				return diag.Errorf("error listing zones: %s", err)
			}
			if len(found) == 0 {
				return diag.Errorf("no zone found")
			}
			return fill(data, found[0].ID, map[string]any{"zone_id": found[0].ID})
		},
	}
}

func dnsRecord() *schema.Resource {
	ttl := optional(schema.TypeInt)
	ttl.Computed = true
	return &schema.Resource{
		Schema: fields{
			"zone_id":  fixed(schema.TypeString),
			"name":     fixed(schema.TypeString),
			"type":     fixed(schema.TypeString),
			"content":  required(schema.TypeString),
			"proxied":  optional(schema.TypeBool),
			"ttl":      ttl,
			"comment":  optional(schema.TypeString),
			"hostname": computed(schema.TypeString),
		},
		CreateContext: createRecord,
		ReadContext:   readRecord,
		UpdateContext: updateRecord,
		DeleteContext: deleteRecord,
	}
}

func recordsOf(data *schema.ResourceData) string {
	return "/zones/" + data.Get("zone_id").(string) + "/dns_records"
}

// wanted is the record that the arguments describe.
func wanted(data *schema.ResourceData) (record, error) {
	made := record{
		Name:    data.Get("name").(string),
		Type:    data.Get("type").(string),
		Content: data.Get("content").(string),
		TTL:     data.Get("ttl").(int),
		Proxied: data.Get("proxied").(bool),
		Comment: data.Get("comment").(string),
	}
	if made.TTL == 0 {
		made.TTL = 1
	}
	if made.Proxied && made.TTL != 1 {
		return made, errors.New("ttl must be 1 while proxied is true")
	}
	return made, nil
}

func createRecord(ctx context.Context, data *schema.ResourceData, meta any) diag.Diagnostics {
	made, err := wanted(data)
	if err == nil {
		err = meta.(*api).ask(ctx, http.MethodPost, recordsOf(data), made, &made)
	}
	if err != nil {
		return diag.Errorf("failed to create DNS record: %s", err)
	}
	data.SetId(made.ID)
	return readRecord(ctx, data, meta)
}

func readRecord(ctx context.Context, data *schema.ResourceData, meta any) diag.Diagnostics {
	var found record
	err := meta.(*api).ask(ctx, http.MethodGet, recordsOf(data)+"/"+data.Id(), nil, &found)
	if isGone(err) {
		data.SetId("")
		return nil
	}
	if err != nil {
		return diag.Errorf("failed to read DNS record: %s", err)
	}
	// name stays as it was given: in full, or without the zone
	return fill(data, found.ID, map[string]any{
		"type":     found.Type,
		"content":  found.Content,
		"proxied":  found.Proxied,
		"ttl":      found.TTL,
		"comment":  found.Comment,
		"hostname": found.Name,
	})
}

func updateRecord(ctx context.Context, data *schema.ResourceData, meta any) diag.Diagnostics {
	made, err := wanted(data)
	if err == nil {
		err = meta.(*api).ask(ctx, http.MethodPatch, recordsOf(data)+"/"+data.Id(), made, &made)
	}
	if err != nil {
		return diag.Errorf("failed to update DNS record: %s", err)
	}
	return readRecord(ctx, data, meta)
}

func deleteRecord(ctx context.Context, data *schema.ResourceData, meta any) diag.Diagnostics {
	err := meta.(*api).ask(ctx, http.MethodDelete, recordsOf(data)+"/"+data.Id(), nil, nil)
	if err != nil && !isGone(err) {
		return diag.Errorf("failed to delete DNS record: %s", err)
	}
	return nil
}

func isGone(err error) bool {
	var refused refusal
	return errors.As(err, &refused) && refused.Code == noSuchRecord
}
