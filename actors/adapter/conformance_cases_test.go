package adapter_test

import (
	"fmt"
	"slices"
	"time"

	"github.com/wedsync/wedsync/actors/adapter"
	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/loadtest/vendors"
)

// way is one way of connecting a vendor: its golden files lie in testdata/<vendor>/<name>.
type way struct {
	name     string
	connect  func(v vendors.Vendor, id string) (event.Integration, event.Secrets)
	outgoing string // the secret that what is sent depends on
	faults   []faultCase
}

// faultCase is what a fault must come to.
type faultCase struct {
	name    string
	fault   vendors.Fault
	kind    adapter.Kind
	faulted bool
	reason  string
	after   time.Duration
	taken   bool
}

func plain(v vendors.Vendor, id string) (event.Integration, event.Secrets) { return v.Integration(id) }

// ways must have an entry for each vendor that is registered.
func ways() map[string][]way {
	signed := []way{{name: "webhook", connect: plain, outgoing: "signing", faults: httpFaults()}}
	return map[string][]way{
		"studiocloud":   signed,
		"venuemaster":   signed,
		"partyrental":   signed,
		"eventplanning": signed,
		"irisworks":     signed,
		"shootq":        signed,
		"vsco": {
			{name: "rest", connect: plain, outgoing: "api_key", faults: httpFaults()},
			{name: "replacing", outgoing: "api_key", faults: httpFaults(), connect: func(v vendors.Vendor, id string) (event.Integration, event.Secrets) {
				v.(*vendors.VSCO).ReplaceEntries()
				return plain(v, id)
			}},
		},
		"tripleseat": {{name: "rest", connect: plain, outgoing: "client_secret", faults: tripleseatFaults()}},
		"webhook": {
			{name: "standard", connect: plain, outgoing: "signing", faults: httpFaults()},
			{name: "cloudevents", outgoing: "signing", faults: httpFaults(), connect: func(v vendors.Vendor, id string) (event.Integration, event.Secrets) {
				return v.(*vendors.AnySystem).CloudEventsIntegration(id)
			}},
		},
		"whatsapp": {
			{name: "template", connect: plain, outgoing: "access_token", faults: whatsAppFaults()},
			{name: "text", outgoing: "access_token", faults: whatsAppTextFaults(), connect: func(v vendors.Vendor, id string) (event.Integration, event.Secrets) {
				in, secrets := v.Integration(id)
				return withSetting(in, "mode", "text"), secrets
			}},
		},
		"slack": {
			{name: "webhook", connect: plain, outgoing: "webhook_url", faults: slackHookFaults()},
			{name: "bot", outgoing: "bot_token", faults: slackBotFaults(), connect: func(v vendors.Vendor, id string) (event.Integration, event.Secrets) {
				return v.(*vendors.Slack).BotIntegration(id)
			}},
		},
		"email": {{name: "smtp", connect: plain, outgoing: "password", faults: emailFaults()}},
	}
}

// everywhere are the faults below any protocol.
func everywhere() []faultCase {
	return []faultCase{
		{name: "slow", fault: vendors.Fault{Latency: event.Duration(time.Millisecond), Jitter: event.Duration(time.Millisecond)}, kind: adapter.KindDelivered, taken: true},
		{name: "reset", fault: vendors.Fault{Reset: true}, kind: adapter.KindRetry, faulted: true},
		{name: "hang", fault: vendors.Fault{Hang: true}, kind: adapter.KindRetry, faulted: true},
		{name: "answer lost", fault: vendors.Fault{LoseAnswer: true}, kind: adapter.KindRetry, faulted: true, taken: true},
	}
}

func httpFaults() []faultCase {
	return []faultCase{
		{name: "400", fault: vendors.Fault{Status: 400}, kind: adapter.KindDead, reason: "http_400"},
		{name: "401", fault: vendors.Fault{Status: 401}, kind: adapter.KindPause, reason: "http_401"},
		{name: "403", fault: vendors.Fault{Status: 403}, kind: adapter.KindPause, reason: "http_403"},
		{name: "404", fault: vendors.Fault{Status: 404}, kind: adapter.KindDead, reason: "http_404"},
		{name: "408", fault: vendors.Fault{Status: 408}, kind: adapter.KindRetry, faulted: true, reason: "http_408"},
		{name: "410", fault: vendors.Fault{Status: 410}, kind: adapter.KindPause, reason: "http_410"},
		{name: "429", fault: vendors.Fault{Status: 429, RetryAfter: event.Duration(7 * time.Second)}, kind: adapter.KindRetry, reason: "http_429", after: 7 * time.Second},
		{name: "302", fault: vendors.Fault{Status: 302}, kind: adapter.KindRetry, faulted: true, reason: "http_302"},
		{name: "308", fault: vendors.Fault{Status: 308}, kind: adapter.KindPause, reason: "http_308"},
		{name: "500", fault: vendors.Fault{Status: 500}, kind: adapter.KindRetry, faulted: true, reason: "http_500"},
		{name: "502", fault: vendors.Fault{Status: 502}, kind: adapter.KindRetry, faulted: true, reason: "http_502"},
		{name: "503", fault: vendors.Fault{Status: 503, RetryAfter: event.Duration(2 * time.Second)}, kind: adapter.KindRetry, faulted: true, reason: "http_503", after: 2 * time.Second},
		{name: "504", fault: vendors.Fault{Status: 504}, kind: adapter.KindRetry, faulted: true, reason: "http_504"},
	}
}

// tripleseatFaults are httpFaults, but that a 401 has a second token asked for, which is refused too.
func tripleseatFaults() []faultCase {
	all := slices.DeleteFunc(httpFaults(), func(f faultCase) bool { return f.fault.Status == 401 })
	return append(all, faultCase{name: "401", fault: vendors.Fault{Status: 401, Code: "invalid_client"}, kind: adapter.KindPause, reason: "invalid_client"})
}

func coded(kind adapter.Kind, faulted bool, after time.Duration, codes ...string) []faultCase {
	var all []faultCase
	for _, code := range codes {
		all = append(all, faultCase{
			name: code, fault: vendors.Fault{Code: code}, kind: kind, faulted: faulted, reason: code, after: after,
		})
	}
	return all
}

func whatsAppFaults() []faultCase {
	return slices.Concat(
		coded(adapter.KindRetry, true, 0, "2", "131000", "131016", "131057", "133004"),
		coded(adapter.KindRetry, false, 0, "4", "80007", "130429"),
		coded(adapter.KindRetry, false, 4*time.Second, "131056"),
		coded(adapter.KindRetry, false, 24*time.Hour, "131049"),
		coded(adapter.KindPause, false, 0, "0", "10", "190", "200", "299", "368", "131031", "131042", "131048"),
		coded(adapter.KindDead, false, 0, "100", "131008", "131009", "131026", "131051", "132000", "132001", "132005", "132007", "132012", "132015"),
		coded(adapter.KindDead, false, 0, "131047"), // a template needs no window, so this makes no sense
		[]faultCase{
			{name: "429", fault: vendors.Fault{Status: 429, RetryAfter: event.Duration(3 * time.Second)}, kind: adapter.KindRetry, reason: "130429", after: 3 * time.Second},
			{name: "131050", fault: vendors.Fault{Code: "131050"}, kind: adapter.KindDead, reason: event.ReasonOptedOut},
			{name: "503 with a code not listed", fault: vendors.Fault{Status: 503, Code: "999999"}, kind: adapter.KindRetry, faulted: true, reason: "999999"},
			{name: "400 with a code not listed", fault: vendors.Fault{Status: 400, Code: "999999"}, kind: adapter.KindDead, reason: "999999"},
			{name: "200 with a code not listed", fault: vendors.Fault{Status: 200, Code: "999999"}, kind: adapter.KindDead, reason: "999999"},
		},
	)
}

func whatsAppTextFaults() []faultCase {
	return coded(adapter.KindInstead, false, 0, "131047")
}

func slackHookFaults() []faultCase {
	return slices.Concat(
		coded(adapter.KindDead, false, 0, "invalid_payload", "user_not_found", "invalid_blocks", "no_text"),
		coded(adapter.KindPause, false, 0, "action_prohibited", "channel_not_found", "no_service", "channel_is_archived"),
		coded(adapter.KindRetry, true, 0, "rollup_error"),
		[]faultCase{
			{name: "429", fault: vendors.Fault{Status: 429, RetryAfter: event.Duration(time.Second)}, kind: adapter.KindRetry, reason: "rate_limited", after: time.Second},
			{name: "503", fault: vendors.Fault{Status: 503}, kind: adapter.KindRetry, faulted: true, reason: "http_503"},
			{name: "200 but not ok", fault: vendors.Fault{Status: 200, Code: "<html>"}, kind: adapter.KindRetry, faulted: true, reason: "unexpected_answer"},
		},
	)
}

func slackBotFaults() []faultCase {
	return slices.Concat(
		coded(adapter.KindRetry, false, 0, "ratelimited", "rate_limited"),
		coded(adapter.KindRetry, true, 0, "service_unavailable", "request_timeout", "fatal_error", "internal_error"),
		coded(adapter.KindPause, false, 0, "invalid_auth", "token_revoked", "missing_scope", "not_in_channel", "is_archived"),
		coded(adapter.KindDead, false, 0, "invalid_blocks", "msg_too_long", "a_code_of_tomorrow"),
		[]faultCase{
			{name: "429", fault: vendors.Fault{Status: 429, RetryAfter: event.Duration(30 * time.Second)}, kind: adapter.KindRetry, reason: "ratelimited", after: 30 * time.Second},
			{name: "503", fault: vendors.Fault{Status: 503}, kind: adapter.KindRetry, faulted: true, reason: "service_unavailable"},
		},
	)
}

func emailFaults() []faultCase {
	smtp := func(status int, kind adapter.Kind, faulted bool) faultCase {
		return faultCase{
			name: fmt.Sprint(status), fault: vendors.Fault{Status: status}, kind: kind, faulted: faulted, reason: fmt.Sprintf("smtp_%d", status),
		}
	}
	rcpt := smtp(452, adapter.KindRetry, true)
	rcpt.name, rcpt.fault.Stage = "452 for a recipient", "rcpt"
	unknown := smtp(550, adapter.KindDead, false)
	unknown.name, unknown.fault.Stage, unknown.fault.Contains = "550 for one recipient of two", "rcpt", "jonas"
	return []faultCase{
		smtp(421, adapter.KindRetry, true), smtp(450, adapter.KindRetry, false), smtp(451, adapter.KindRetry, true),
		smtp(452, adapter.KindRetry, true), smtp(530, adapter.KindPause, false), smtp(535, adapter.KindPause, false),
		smtp(550, adapter.KindDead, false), smtp(552, adapter.KindDead, false), smtp(554, adapter.KindDead, false),
		rcpt, unknown,
	}
}
