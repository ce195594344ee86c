package problem

import (
	"net/http"
	"slices"
	"strings"
)

// The codes, in the groups of the table below.
const (
	// Asking.
	NotFound             = "not_found"
	MethodNotAllowed     = "method_not_allowed"
	UnsupportedMediaType = "unsupported_media_type"
	HeadersTooLarge      = "headers_too_large"
	BodyTooLarge         = "body_too_large"
	BodyUnreadable       = "body_unreadable"
	JSONMalformed        = "json_malformed"
	UTF8Invalid          = "utf8_invalid"
	FieldInvalid         = "field_invalid"
	Conflict             = "conflict"
	UpgradeRequired      = "upgrade_required"

	// Who asks.
	KeyMissing        = "key_missing"
	KeyInvalid        = "key_invalid"
	KeyExpired        = "key_expired"
	ScopeMissing      = "scope_missing"
	OwnerBound        = "owner_bound"
	ChannelOutOfReach = "channel_out_of_reach"

	// Of clients of channels that only listen.
	TokenInvalid      = "token_invalid"
	TokenExpired      = "token_expired"
	TokenUnverified   = "token_unverified"
	ChannelNotGranted = "channel_not_granted"

	// OriginNotAllowed refuses a page that opens a WebSocket.
	OriginNotAllowed = "origin_not_allowed"

	// Events.
	ChannelInvalid    = "channel_invalid"
	ChannelWildcard   = "channel_wildcard"
	ChannelReserved   = "channel_reserved"
	TypeInvalid       = "type_invalid"
	IDInvalid         = "id_invalid"
	OccurredAtInvalid = "occurred_at_invalid"
	ContextInvalid    = "context_invalid"
	PayloadNotObject  = "payload_not_object"
	PayloadTooLarge   = "payload_too_large"
	PayloadTooDeep    = "payload_too_deep"
	PayloadTooWide    = "payload_too_wide"
	TooManyElements   = "payload_too_many_elements"
	KeyTooLong        = "payload_key_too_long"
	StringTooLong     = "payload_string_too_long"
	NumberTooLong     = "payload_number_too_long"
	PayloadKeyInvalid = "payload_key_invalid"
	DuplicateKey      = "duplicate_key"
	EventUnknown      = "event_unknown"

	// Webhooks.
	VendorUnknown       = "vendor_unknown"
	VendorMismatch      = "vendor_mismatch"
	IntegrationUnnamed  = "integration_unnamed"
	IntegrationUnknown  = "integration_unknown"
	IntegrationDisabled = "integration_disabled"
	IntegrationBroken   = "integration_broken"
	NotAReceiver        = "vendor_sends_no_webhooks"
	NoHandshake         = "vendor_has_no_handshake"
	SignatureMissing    = "signature_missing"
	SignatureInvalid    = "signature_invalid"
	TimestampInvalid    = "timestamp_invalid"
	TimestampOld        = "timestamp_outside_tolerance"
	WebhookUndecodable  = "webhook_undecodable"
	TooManyMessages     = "webhook_too_many_messages"
	ChannelUnfilled     = "channel_unfilled"
	ChannelUnset        = "channel_unset"
	ChannelNotAllowed   = "channel_not_allowed"

	// Too much.
	RateLimited        = "rate_limited"
	RefusalsLimited    = "refusals_limited"
	PublishLimited     = "publish_limited"
	TooManyConnections = "too_many_connections"
	TooManyClients     = "too_many_clients"
	TooManyOfAddress   = "too_many_connections_of_address"
	TooManyOfUser      = "too_many_connections_of_user"

	// Managing.
	IntegrationInvalid = "integration_invalid"
	MappingInvalid     = "mapping_invalid"
	MappingUnknown     = "mapping_unknown"
	SecretsInvalid     = "secrets_invalid"
	SecretsUnreadable  = "secrets_unreadable"
	DeadLetterUnknown  = "dead_letter_unknown"
	ReplayImpossible   = "replay_impossible"
	AnalyticsMissing   = "analytics_missing"
	AnalyticsFailed    = "analytics_failed"
	EngineUnavailable  = "engine_unavailable"
	PreconditionFailed = "precondition_failed"
	DeliveryUnknown    = "delivery_unknown"
	NoProfiles         = "vendor_takes_no_profiles"
	SyncUnknown        = "sync_unknown"
	SyncReused         = "sync_reused"
	KeyUnknown         = "key_unknown"
	KeySpecInvalid     = "key_spec_invalid"
	GrantExceeded      = "grant_exceeded"

	// Nodes.
	MemberUnknown = "member_unknown"
	MemberAlive   = "member_alive"
	NoSuccessor   = "no_successor"
	NodeAlone     = "node_alone"
	NodesDiffer   = "nodes_differ"

	// ClusterKeyUnknown says that no node has the key.
	ClusterKeyUnknown = "cluster_key_unknown"

	// Asking again.
	IdempotencyReused = "idempotency_key_reused"
	IdempotencyBusy   = "idempotency_key_busy"
	AnswerNotKept     = "answer_not_kept"

	// Us.
	LogFull        = "log_full"
	LogUnavailable = "log_unavailable"
	ShuttingDown   = "shutting_down"
	Internal       = "internal"
)

// Kind is one line of the table.
type Kind struct {
	Code   string `json:"code"`
	Status int    `json:"status"` // HTTP status
	Title  string `json:"title"`  // the same for every occurrence
}

// Type returns the kind's RFC 9457 type, a reference into the served table.
func (k Kind) Type() string { return "/api/problems#" + k.Code }

// Lookup returns the code's line. A code that is not in the table is our own mistake and answered
// as one: 500, with the code kept.
func Lookup(code string) Kind {
	if k, ok := table[code]; ok {
		k.Code = code
		return k
	}
	return Kind{Code: code, Status: http.StatusInternalServerError, Title: table[Internal].Title}
}

// Status returns the code's HTTP status.
func Status(code string) int { return Lookup(code).Status }

// Kinds returns the whole table, sorted by code.
func Kinds() []Kind {
	kinds := make([]Kind, 0, len(table))
	for code := range table {
		kinds = append(kinds, Lookup(code))
	}
	slices.SortFunc(kinds, func(a, b Kind) int { return strings.Compare(a.Code, b.Code) })
	return kinds
}

// table is never written to. Understood and not acceptable is 422, not readable 400, and what
// passes by itself is 429 or 503 with Retry-After.
var table = map[string]Kind{
	NotFound:             {Status: 404, Title: "There is nothing at this address"},
	MethodNotAllowed:     {Status: 405, Title: "This address does not take that method"},
	UnsupportedMediaType: {Status: 415, Title: "The body's media type is not taken here"},
	HeadersTooLarge:      {Status: 431, Title: "The request's headers are too large"},
	BodyTooLarge:         {Status: 413, Title: "The body is too large"},
	BodyUnreadable:       {Status: 400, Title: "The body could not be read to its end"},
	JSONMalformed:        {Status: 400, Title: "The body is not well-formed JSON"},
	UTF8Invalid:          {Status: 400, Title: "The body is not valid UTF-8"},
	FieldInvalid:         {Status: 422, Title: "A field or parameter is missing or wrong"},
	Conflict:             {Status: 409, Title: "It was changed in the meantime"},
	UpgradeRequired:      {Status: 426, Title: "This address speaks WebSocket"},

	KeyMissing:        {Status: 401, Title: "An API key is needed"},
	KeyInvalid:        {Status: 401, Title: "The API key is not known"},
	KeyExpired:        {Status: 401, Title: "The API key has expired"},
	ScopeMissing:      {Status: 403, Title: "The API key lacks the scope that this needs"},
	OwnerBound:        {Status: 403, Title: "This is about all owners, and the API key is bound to one"},
	ChannelOutOfReach: {Status: 403, Title: "The API key does not reach this channel"},

	TokenInvalid:      {Status: 401, Title: "The token is not valid"},
	TokenExpired:      {Status: 401, Title: "The token has expired"},
	TokenUnverified:   {Status: 503, Title: "The token cannot be verified now"},
	ChannelNotGranted: {Status: 403, Title: "The token does not allow this channel"},

	OriginNotAllowed: {Status: 403, Title: "Pages of this origin may not connect"},

	ChannelInvalid:    {Status: 422, Title: "The channel name is not valid"},
	ChannelWildcard:   {Status: 422, Title: "A pattern is not a channel"},
	ChannelReserved:   {Status: 403, Title: "Only the system itself publishes on this channel"},
	TypeInvalid:       {Status: 422, Title: "The event type is not valid"},
	IDInvalid:         {Status: 422, Title: "The event id is not valid"},
	OccurredAtInvalid: {Status: 422, Title: "The time of the event cannot be right"},
	ContextInvalid:    {Status: 422, Title: "A correlation id, wedding id or trace context is not valid"},
	PayloadNotObject:  {Status: 422, Title: "The payload is not a JSON object"},
	PayloadTooLarge:   {Status: 413, Title: "The payload is too large"},
	PayloadTooDeep:    {Status: 422, Title: "The payload is nested too deeply"},
	PayloadTooWide:    {Status: 422, Title: "The payload has too many keys"},
	TooManyElements:   {Status: 422, Title: "The payload has too many array elements"},
	KeyTooLong:        {Status: 422, Title: "The payload has a key that is too long"},
	StringTooLong:     {Status: 422, Title: "The payload has a text that is too long"},
	NumberTooLong:     {Status: 422, Title: "The payload has a number that is too long"},
	PayloadKeyInvalid: {Status: 422, Title: "A key of the payload is nothing but markup or control characters"},
	DuplicateKey:      {Status: 422, Title: "An object has the same key twice"},
	EventUnknown:      {Status: 404, Title: "The event is not in the log"},

	VendorUnknown:       {Status: 404, Title: "The vendor is not known"},
	VendorMismatch:      {Status: 404, Title: "The integration belongs to another vendor"},
	IntegrationUnnamed:  {Status: 400, Title: "The sender does not say which integration it is"},
	IntegrationUnknown:  {Status: 404, Title: "The integration is not known"},
	IntegrationDisabled: {Status: 409, Title: "The integration is disabled"},
	IntegrationBroken:   {Status: 503, Title: "The integration's settings or secrets are incomplete"},
	NotAReceiver:        {Status: 404, Title: "The vendor sends no webhooks"},
	NoHandshake:         {Status: 404, Title: "The vendor has no handshake"},
	SignatureMissing:    {Status: 401, Title: "The webhook is not signed"},
	SignatureInvalid:    {Status: 401, Title: "The webhook's signature does not fit"},
	TimestampInvalid:    {Status: 401, Title: "The webhook's timestamp cannot be read"},
	TimestampOld:        {Status: 401, Title: "The webhook's timestamp is too far from now"},
	WebhookUndecodable:  {Status: 422, Title: "The webhook cannot be understood"},
	TooManyMessages:     {Status: 413, Title: "The webhook holds too many messages"},
	ChannelUnfilled:     {Status: 422, Title: "The webhook lacks what its channel's name is made of"},
	ChannelUnset:        {Status: 409, Title: "The integration has no channel for webhooks"},
	ChannelNotAllowed:   {Status: 403, Title: "The integration may not publish on this channel"},

	RateLimited:        {Status: 429, Title: "Too many webhooks within an hour"},
	RefusalsLimited:    {Status: 429, Title: "Too many refused requests from this address"},
	PublishLimited:     {Status: 429, Title: "Too many events within a second"},
	TooManyConnections: {Status: 503, Title: "Too many connections"},
	TooManyClients:     {Status: 503, Title: "Too many WebSocket clients"},
	TooManyOfUser:      {Status: 429, Title: "Too many connections of one user"},
	TooManyOfAddress:   {Status: 429, Title: "Too many connections of one address"},

	IntegrationInvalid: {Status: 422, Title: "The integration is not valid"},
	MappingInvalid:     {Status: 422, Title: "The mapping is not valid"},
	MappingUnknown:     {Status: 404, Title: "The mapping is not known"},
	SecretsInvalid:     {Status: 422, Title: "The secrets are not valid"},
	SecretsUnreadable:  {Status: 500, Title: "The stored secrets cannot be opened"},
	DeadLetterUnknown:  {Status: 404, Title: "The dead letter is not known"},
	ReplayImpossible:   {Status: 409, Title: "The dead letter still cannot be delivered"},
	AnalyticsMissing:   {Status: 503, Title: "There is no analytics database"},
	AnalyticsFailed:    {Status: 502, Title: "The analytics database did not answer"},
	EngineUnavailable:  {Status: 503, Title: "The delivery engine does not answer"},
	PreconditionFailed: {Status: 412, Title: "It is not at the revision that was named"},
	DeliveryUnknown:    {Status: 404, Title: "The delivery is not known"},
	NoProfiles:         {Status: 409, Title: "The vendor keeps no profiles of clients"},
	SyncUnknown:        {Status: 404, Title: "There is no sync of that id"},
	SyncReused:         {Status: 422, Title: "The sync has another profile of the client"},
	KeyUnknown:         {Status: 404, Title: "There is no API key of that id"},
	KeySpecInvalid:     {Status: 422, Title: "The API key that is to be made is not valid"},
	GrantExceeded:      {Status: 403, Title: "An API key cannot give what it does not have"},

	MemberUnknown: {Status: 404, Title: "There is no node of that name"},
	MemberAlive:   {Status: 409, Title: "The node is alive"},
	NoSuccessor:   {Status: 409, Title: "No other node can take the shards over"},
	NodeAlone:     {Status: 409, Title: "The node is not one of several"},
	NodesDiffer:   {Status: 409, Title: "Not all nodes are ready for it, or have done it"},

	ClusterKeyUnknown: {Status: 404, Title: "No node has a cluster key of that id"},

	IdempotencyReused: {Status: 422, Title: "The idempotency key was used for another request"},
	IdempotencyBusy:   {Status: 409, Title: "A request with that idempotency key is under way"},
	AnswerNotKept:     {Status: 409, Title: "It was done before, and its answer is not kept"},

	LogFull:        {Status: 503, Title: "The event log is full"},
	LogUnavailable: {Status: 503, Title: "The event log cannot be written"},
	ShuttingDown:   {Status: 503, Title: "The node is stopping"},
	Internal:       {Status: 500, Title: "Something broke on our side"},
}
