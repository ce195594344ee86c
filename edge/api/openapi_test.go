package api_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"
)

// TestDocumentIsValid holds the document against the schema of OpenAPI 3.1 by a public validator, which has
// to refuse one with a defect.
func TestDocumentIsValid(t *testing.T) {
	t.Parallel()
	n := start(t, nil)
	text := n.do(t, "GET", "/api/openapi.json", "", "Authorization", "").body
	for _, c := range []struct {
		text  string
		valid bool
	}{
		{text, true},
		{strings.Replace(text, `"in":"query"`, `"in":"somewhere"`, 1), false},
	} {
		doc, err := libopenapi.NewDocument([]byte(c.text))
		must(t, err)
		v, errs := validator.NewValidator(doc)
		if len(errs) > 0 {
			t.Fatal(errs)
		}
		valid, failures := v.ValidateDocument()
		if valid != c.valid {
			t.Errorf("valid: %v", valid)
			for _, f := range failures {
				t.Errorf("%s: %s %+v", f.Message, f.Reason, f.SchemaValidationErrors)
			}
		}
		v.Release()
	}
}

// TestDocument: the document describes what is served, and its references lead somewhere.
func TestDocument(t *testing.T) {
	t.Parallel()
	n := start(t, nil)
	a := n.do(t, "GET", "/api/openapi.json", "", "Authorization", "")
	if a.status != 200 || a.header.Get("Content-Type") != "application/openapi+json" {
		t.Fatalf("%d %v", a.status, a.header)
	}
	var doc struct {
		OpenAPI string
		Info    struct{ Title, Version string }
		Paths   map[string]map[string]struct {
			OperationID string
			Summary     string
			Tags        []string
			Parameters  []struct{ Name, In string }
			Responses   map[string]struct{ Content map[string]any }
			Security    *[]any
		}
		Components struct {
			Schemas         map[string]any
			SecuritySchemes map[string]any
		}
		Security []map[string][]string
	}
	must(t, json.Unmarshal([]byte(a.body), &doc))
	if !strings.HasPrefix(doc.OpenAPI, "3.1") || doc.Info.Version != "1.2.3" || len(doc.Security) != 1 || doc.Components.SecuritySchemes["key"] == nil {
		t.Errorf("%s %+v %+v", doc.OpenAPI, doc.Info, doc.Security)
	}
	ids := map[string]bool{}
	for path, item := range doc.Paths {
		for method, op := range item {
			if op.OperationID == "" || ids[op.OperationID] || op.Summary == "" || len(op.Tags) != 1 {
				t.Errorf("%s %s: %+v", method, path, op)
			}
			ids[op.OperationID] = true
			has := map[string]bool{}
			for _, p := range op.Parameters {
				has[p.Name] = true
			}
			if secured := op.Security == nil || len(*op.Security) > 0; has["Idempotency-Key"] != (secured && method != "get" && !strings.HasPrefix(op.OperationID, "preview-")) {
				t.Errorf("%s %s: parameters %v", method, path, op.Parameters)
			}
			lists := (strings.HasPrefix(op.OperationID, "list-") || strings.HasPrefix(op.OperationID, "find-")) && op.OperationID != "list-scopes"
			if lists && (!has["after"] || !has["limit"]) {
				t.Errorf("%s %s lists without a cursor: %v", method, path, op.Parameters)
			}
			if op.Responses["default"].Content["application/problem+json"] == nil || len(op.Responses) < 2 {
				t.Errorf("%s %s: responses %v", method, path, op.Responses)
			}
			if strings.HasPrefix(path, "/api/webhooks") {
				if op.Security == nil || len(*op.Security) != 0 {
					t.Errorf("%s %s: security %v", method, path, op.Security)
				}
				continue
			}
			// Whatever is described is there.
			served := strings.NewReplacer("{name}", "a:b", "{id}", "x", "{seq}", "1").Replace(path)
			if got := n.do(t, strings.ToUpper(method), served, ""); got.status == http.StatusMethodNotAllowed || strings.Contains(got.body, "there is nothing at") {
				t.Errorf("%s %s is not served: %d", method, path, got.status)
			}
		}
	}
	if len(ids) < 40 {
		t.Errorf("%d operations", len(ids))
	}
	for part := range strings.SplitSeq(a.body, `"$ref":"`) {
		if ref, rest, ok := strings.Cut(part, `"`); ok && rest != "" && strings.HasPrefix(ref, "#/") {
			if doc.Components.Schemas[strings.TrimPrefix(ref, "#/components/schemas/")] == nil {
				t.Errorf("%s leads nowhere", ref)
			}
		}
	}
	if strings.Contains(a.body, "$schema") || strings.Contains(a.body, "ErrorModel") {
		t.Error("bodies are described that are never sent")
	}
	if a := n.do(t, "GET", "/api/openapi-3.0.json", ""); a.status != 404 {
		t.Errorf("3.0: %d", a.status)
	}
}
