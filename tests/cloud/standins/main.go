// This program stands in for providers that Go's module proxy does not have, where no registry
// can be reached: the cloud ring then runs with it (tests/cloud/providers.py builds it). It was
// written from the providers' documentation, has only what the modules of the ring use, and says
// nothing about the real ones. The same tests were run by hand with the real
//
//	cloudflare/cloudflare 4.52.8, hashicorp/local 2.9.0, hashicorp/random 3.9.0,
//	hashicorp/template 2.2.0
//
// and take them by themselves where `terraform providers mirror` has put them.
package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"mime/multipart"
	"net/textproto"
	"os"
	"path/filepath"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/terraform-plugin-sdk/v2/diag"
	"github.com/hashicorp/terraform-plugin-sdk/v2/helper/schema"
	"github.com/hashicorp/terraform-plugin-sdk/v2/plugin"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
)

type fields = map[string]*schema.Schema

var stoodInFor = map[string]func() *schema.Provider{
	"cloudflare": cloudflare,
	"local": func() *schema.Provider {
		return &schema.Provider{
			DataSourcesMap: map[string]*schema.Resource{"local_sensitive_file": sensitiveFile()},
			ResourcesMap:   map[string]*schema.Resource{"local_file": localFile()},
		}
	},
	"random": func() *schema.Provider {
		return &schema.Provider{ResourcesMap: map[string]*schema.Resource{
			"random_id":       randomID(),
			"random_password": randomText(true),
			"random_string":   randomText(false),
		}}
	},
	"template": func() *schema.Provider {
		return &schema.Provider{DataSourcesMap: map[string]*schema.Resource{
			"template_file":             templateFile(),
			"template_cloudinit_config": cloudinitConfig(),
		}}
	},
}

// The file's own name, terraform-provider-KIND_vVERSION, says which provider it is.
func main() {
	kind, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(os.Args[0]), "terraform-provider-"), "_")
	provider, known := stoodInFor[kind]
	if !known {
		fmt.Fprintf(os.Stderr, "no provider is called %q here\n", kind)
		os.Exit(1)
	}
	plugin.Serve(&plugin.ServeOpts{ProviderFunc: provider})
}

func required(kind schema.ValueType) *schema.Schema {
	return &schema.Schema{Type: kind, Required: true}
}

func optional(kind schema.ValueType) *schema.Schema {
	return &schema.Schema{Type: kind, Optional: true}
}

func computed(kind schema.ValueType) *schema.Schema {
	return &schema.Schema{Type: kind, Computed: true}
}

// fixed is an argument that a resource cannot change: another value replaces it.
func fixed(kind schema.ValueType) *schema.Schema {
	return &schema.Schema{Type: kind, Required: true, ForceNew: true}
}

// fill sets the id and attributes that a schema has.
func fill(data *schema.ResourceData, id string, values map[string]any) diag.Diagnostics {
	for name, value := range values {
		if err := data.Set(name, value); err != nil {
			return diag.FromErr(err)
		}
	}
	data.SetId(id)
	return nil
}

func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

func randomID() *schema.Resource {
	return &schema.Resource{
		Schema: fields{
			"byte_length": fixed(schema.TypeInt),
			"hex":         computed(schema.TypeString),
		},
		CreateContext: func(_ context.Context, data *schema.ResourceData, _ any) diag.Diagnostics {
			drawn := make([]byte, data.Get("byte_length").(int))
			if _, err := rand.Read(drawn); err != nil {
				return diag.FromErr(err)
			}
			id := base64.RawURLEncoding.EncodeToString(drawn)
			return fill(data, id, map[string]any{"hex": hex.EncodeToString(drawn)})
		},
		ReadContext:   schema.NoopContext,
		DeleteContext: schema.NoopContext,
	}
}

// randomText makes hexadecimal digits. As the real ones have it, the id of a random_string is what it
// generates, and that of a random_password the word none.
func randomText(sensitive bool) *schema.Resource {
	result := computed(schema.TypeString)
	result.Sensitive = sensitive
	return &schema.Resource{
		Schema: fields{"length": fixed(schema.TypeInt), "result": result},
		CreateContext: func(_ context.Context, data *schema.ResourceData, _ any) diag.Diagnostics {
			length := data.Get("length").(int)
			drawn := make([]byte, length)
			if _, err := rand.Read(drawn); err != nil {
				return diag.FromErr(err)
			}
			made := hex.EncodeToString(drawn)[:length]
			id := made
			if sensitive {
				id = "none"
			}
			return fill(data, id, map[string]any{"result": made})
		},
		ReadContext:   schema.NoopContext,
		DeleteContext: schema.NoopContext,
	}
}

func sensitiveFile() *schema.Resource {
	content := computed(schema.TypeString)
	content.Sensitive = true
	return &schema.Resource{
		Schema: fields{"filename": required(schema.TypeString), "content": content},
		ReadContext: func(_ context.Context, data *schema.ResourceData, _ any) diag.Diagnostics {
			content, err := os.ReadFile(data.Get("filename").(string))
			if err != nil {
				return diag.FromErr(err)
			}
			return fill(data, digest(string(content)), map[string]any{"content": string(content)})
		},
	}
}

// localFile is gone, as the real one is, where its file is.
func localFile() *schema.Resource {
	return &schema.Resource{
		Schema: fields{
			"filename":        fixed(schema.TypeString),
			"content":         fixed(schema.TypeString),
			"file_permission": fixed(schema.TypeString),
		},
		CreateContext: func(_ context.Context, data *schema.ResourceData, _ any) diag.Diagnostics {
			content := data.Get("content").(string)
			if err := os.WriteFile(data.Get("filename").(string), []byte(content), 0o644); err != nil {
				return diag.FromErr(err)
			}
			return fill(data, digest(content), nil)
		},
		ReadContext: func(_ context.Context, data *schema.ResourceData, _ any) diag.Diagnostics {
			if _, err := os.Stat(data.Get("filename").(string)); os.IsNotExist(err) {
				data.SetId("")
			}
			return nil
		},
		DeleteContext: func(_ context.Context, data *schema.ResourceData, _ any) diag.Diagnostics {
			return diag.FromErr(os.Remove(data.Get("filename").(string)))
		},
	}
}

func templateFile() *schema.Resource {
	return &schema.Resource{
		Schema: fields{
			"template": required(schema.TypeString),
			"vars":     optional(schema.TypeMap),
			"rendered": computed(schema.TypeString),
		},
		ReadContext: func(_ context.Context, data *schema.ResourceData, _ any) diag.Diagnostics {
			rendered, err := render(data.Get("template").(string), data.Get("vars").(map[string]any))
			if err != nil {
				return diag.FromErr(err)
			}
			return fill(data, digest(rendered), map[string]any{"rendered": rendered})
		},
	}
}

// render knows no functions: templates of the ring call none.
func render(template string, vars map[string]any) (string, error) {
	values := map[string]cty.Value{}
	for name, value := range vars {
		values[name] = cty.StringVal(value.(string))
	}
	parsed, wrong := hclsyntax.ParseTemplate([]byte(template), "template", hcl.InitialPos)
	if wrong.HasErrors() {
		return "", wrong
	}
	value, wrong := parsed.Value(&hcl.EvalContext{Variables: values})
	if wrong.HasErrors() {
		return "", wrong
	}
	text, err := convert.Convert(value, cty.String)
	if err != nil {
		return "", err
	}
	return text.AsString(), nil
}

// cloudinitConfig does what the defaults gzip = true and base64_encode = true do.
func cloudinitConfig() *schema.Resource {
	return &schema.Resource{
		Schema: fields{
			"rendered": computed(schema.TypeString),
			"part": {Type: schema.TypeList, Required: true, Elem: &schema.Resource{Schema: fields{
				"content":      required(schema.TypeString),
				"content_type": required(schema.TypeString),
				"filename":     required(schema.TypeString),
				"merge_type":   required(schema.TypeString),
			}}},
		},
		ReadContext: func(_ context.Context, data *schema.ResourceData, _ any) diag.Diagnostics {
			joined, err := archive(data.Get("part").([]any))
			if err != nil {
				return diag.FromErr(err)
			}
			rendered := base64.StdEncoding.EncodeToString(packed(joined))
			return fill(data, digest(rendered), map[string]any{"rendered": rendered})
		},
	}
}

// archive is what cloud-init's documentation calls a MIME multi-part archive.
func archive(parts []any) ([]byte, error) {
	var out bytes.Buffer
	writer := multipart.NewWriter(&out)
	if err := writer.SetBoundary("MIMEBOUNDARY"); err != nil {
		return nil, err
	}
	out.WriteString("Content-Type: multipart/mixed; boundary=\"MIMEBOUNDARY\"\r\nMIME-Version: 1.0\r\n\r\n")
	for _, each := range parts {
		part := each.(map[string]any)
		header := textproto.MIMEHeader{"Mime-Version": {"1.0"}}
		header.Set("Content-Type", part["content_type"].(string))
		header.Set("Content-Disposition", fmt.Sprintf("attachment; filename=%q", part["filename"]))
		header.Set("X-Merge-Type", part["merge_type"].(string))
		body, err := writer.CreatePart(header)
		if err != nil {
			return nil, err
		}
		fmt.Fprint(body, part["content"])
	}
	return out.Bytes(), writer.Close()
}

// packed never fails: it writes to memory.
func packed(data []byte) []byte {
	var out bytes.Buffer
	writer := gzip.NewWriter(&out)
	_, _ = writer.Write(data)
	_ = writer.Close()
	return out.Bytes()
}
