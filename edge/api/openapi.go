package api

import (
	"net/http"
	"reflect"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/wedsync/wedsync/edge/access"
	"github.com/wedsync/wedsync/edge/ingest"
	"github.com/wedsync/wedsync/edge/problem"
)

const openAPIPath = "/api/openapi"

func config(version string) huma.Config {
	if version == "" {
		version = "dev"
	}
	return huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info: &huma.Info{
				Title: "wedsync", Version: version,
				Description: "Connects the channels of a wedding-planning product with the systems of its vendors. " +
					"Errors are RFC 9457 problems; their codes are listed at /api/problems.",
			},
			Components: &huma.Components{
				Schemas: huma.NewMapRegistry("#/components/schemas/", schemaName),
				SecuritySchemes: map[string]*huma.SecurityScheme{
					securityScheme: {Type: "http", Scheme: "bearer", Description: "An API key. Each operation names the scopes that it needs; " +
						"/api/scopes lists them, and a key with admin has all. To a key that is bound to an owner, what is not that owner's does not exist."},
				},
			},
			Security: needs(),
			Tags: []*huma.Tag{
				{Name: "channels", Description: "Publishing and reading events."},
				{Name: "integrations", Description: "Connections to vendors."},
				{Name: "mappings", Description: "Which events go to whom."},
				{Name: "dead letters", Description: "Deliveries that ended, and are kept to be replayed."},
				{Name: "deliveries", Description: "What became of events at each integration."},
				{Name: "analytics", Description: "What the numbers say. They lag behind by a second or two."},
				{Name: "audit", Description: "Who did what."},
				{Name: "keys", Description: "API keys: who may call, and what."},
				{Name: "webhooks", Description: "Where vendors send."},
				{Name: "about", Description: "The node, and this API."},
			},
		},
		OpenAPIPath:   openAPIPath,
		Formats:       map[string]huma.Format{"application/json": huma.DefaultJSONFormat, "json": huma.DefaultJSONFormat},
		DefaultFormat: "application/json",
		// A parameter that is mistyped would otherwise be a filter that is silently left out.
		RejectUnknownQueryParameters: true,
		Transformers:                 []huma.Transformer{transform},
	}
}

// schemaName tells the fields of vendors' forms from the fields of problems.
func schemaName(t reflect.Type, hint string) string {
	name := huma.DefaultSchemaNamer(t, hint)
	if t.Name() == "Field" && strings.HasSuffix(t.PkgPath(), "/adapter") {
		return "Vendor" + name
	}
	return name
}

func problemResponse(doc *huma.OpenAPI) *huma.Response {
	schema := doc.Components.Schemas.Schema(reflect.TypeFor[problem.Problem](), true, "Problem")
	return &huma.Response{Description: "A problem", Content: map[string]*huma.MediaType{problem.ContentType: {Schema: schema}}}
}

// document adds the operations that plain handlers serve, and takes out the error body that nobody is
// answered.
func document(doc *huma.OpenAPI) {
	schemas := doc.Components.Schemas.Map()
	delete(schemas, "ErrorModel")
	delete(schemas, "ErrorDetail")
	schema := func(t reflect.Type, hint string) *huma.Schema { return doc.Components.Schemas.Schema(t, true, hint) }
	jsonBody := func(s *huma.Schema) map[string]*huma.MediaType {
		return map[string]*huma.MediaType{"application/json": {Schema: s}}
	}
	text := &huma.Schema{Type: huma.TypeString}
	receipt := jsonBody(schema(reflect.TypeFor[ingest.Receipt](), "Receipt"))
	path := func(name, what string) *huma.Param {
		return &huma.Param{Name: name, In: "path", Required: true, Schema: text, Description: what}
	}
	doc.AddOperation(&huma.Operation{
		OperationID: "publish", Method: http.MethodPost, Path: "/api/channels/{name}/publish", Tags: []string{"channels"}, Security: needs(access.ChannelsPublish),
		Summary:     "Publish an event",
		Description: "Answers once the event is durable in the log. An id makes it safe to repeat: within ten minutes a second event of the same id on the same channel is answered as a duplicate.",
		Parameters:  []*huma.Param{path("name", "The channel, such as supplier:dashboard:42."), idempotencyParam()},
		RequestBody: &huma.RequestBody{Required: true, Content: jsonBody(schema(reflect.TypeFor[publication](), "Publication"))},
		Responses: map[string]*huma.Response{
			"202":     {Description: "It is in the log", Content: receipt},
			"200":     {Description: "An event of that id was in the log already", Content: receipt},
			"default": problemResponse(doc),
		},
	})
	object := jsonBody(&huma.Schema{Type: huma.TypeObject})
	taken := map[string]*huma.Response{
		"202":     {Description: "Taken: {\"events\":[{\"id\",\"seq\"}]}", Content: object},
		"200":     {Description: "Known already, or the answer that the vendor expects", Content: object},
		"default": problemResponse(doc),
	}
	vendor := []*huma.Param{path("vendor", "Such as venuemaster; see /api/vendors."), path("integrationId", "The integration.")}
	doc.AddOperation(&huma.Operation{
		OperationID: "receive-webhook", Method: http.MethodPost, Path: "/api/webhooks/{vendor}/{integrationId}", Tags: []string{"webhooks"},
		Summary: "Take a vendor's webhook, in the vendor's own protocol and signed", Security: free(),
		Parameters: vendor, RequestBody: &huma.RequestBody{Required: true, Content: object}, Responses: taken,
	})
	doc.AddOperation(&huma.Operation{
		OperationID: "webhook-handshake", Method: http.MethodGet, Path: "/api/webhooks/{vendor}/{integrationId}", Tags: []string{"webhooks"},
		Summary: "Answer a vendor's check that the address is ours", Security: free(), Parameters: vendor,
		Responses: map[string]*huma.Response{
			"200":     {Description: "The challenge", Content: map[string]*huma.MediaType{"text/plain": {Schema: text}}},
			"default": problemResponse(doc),
		},
	})
	doc.AddOperation(&huma.Operation{
		OperationID: "channel-event", Method: http.MethodPost, Path: "/api/webhooks/channel-events", Tags: []string{"webhooks"},
		Summary: "Take a signed event from any sender", Security: free(),
		Description: "Signed by Standard Webhooks headers, or with signature: lowercase hex HMAC-SHA256 over " +
			"{channelName}.{eventType}.{timestamp}.{payload as it stands} with the integration's webhook secret.",
		Parameters: []*huma.Param{
			{Name: "X-Integration-Id", In: "header", Schema: text, Description: "Who sends; or in the query parameter integration."},
			{Name: "integration", In: "query", Schema: text},
		},
		RequestBody: &huma.RequestBody{Required: true, Content: jsonBody(schema(reflect.TypeFor[channelEvent](), "ChannelEvent"))},
		Responses:   taken,
	})
}

// channelEvent documents the body that package webhook reads.
type channelEvent struct {
	ChannelName string         `json:"channelName" example:"supplier:dashboard:42"`
	EventType   string         `json:"eventType" example:"timeline.updated"`
	Payload     map[string]any `json:"payload"`
	Timestamp   string         `json:"timestamp,omitempty" doc:"RFC 3339 or Unix seconds, within five minutes."`
	Signature   string         `json:"signature,omitempty"`
}
