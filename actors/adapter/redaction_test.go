package adapter_test

import (
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/wedsync/wedsync/actors/adapter"
	"github.com/wedsync/wedsync/actors/event"
)

const plantedSecret = "planted-secret-of-32-bytes-xyz-0"

// planted gives settings and secrets with the planted text in every secret that the vendor has; the
// second set is of Slack's other mode.
func planted(vendor string) (sets map[string]event.Secrets) {
	key := event.SecretOf("whsec_" + base64.StdEncoding.EncodeToString([]byte(plantedSecret)))
	plain := event.SecretOf(plantedSecret)
	switch vendor {
	case "studiocloud", "irisworks", "shootq", "venuemaster", "partyrental", "eventplanning", "webhook":
		settings, _ := settled(vendor)
		return map[string]event.Secrets{settings: {"signing": {key, key}, "webhook": {key}}}
	case "tripleseat":
		settings, _ := settled(vendor)
		return map[string]event.Secrets{settings: {"client_secret": {plain}, "signing_key": {plain, plain}}}
	case "vsco":
		settings, _ := settled(vendor)
		return map[string]event.Secrets{settings: {"api_key": {plain}}}
	case "whatsapp":
		settings, _ := settled(vendor)
		return map[string]event.Secrets{settings: {"access_token": {plain}, "app_secret": {plain, plain}, "verify_token": {plain}}}
	case "slack":
		return map[string]event.Secrets{
			`{}`:                      {"webhook_url": {event.SecretOf("https://hooks.slack.com/services/" + plantedSecret)}, "signing_secret": {plain}},
			`{"channel":"C024BE91L"}`: {"bot_token": {plain}, "signing_secret": {plain, plain}},
		}
	case "email":
		return map[string]event.Secrets{`{"host":"smtp.example.com","username":"w","from":"w@example.com","to":"a@example.com"}`: {"password": {plain}}}
	}
	panic(vendor)
}

// TestConnectionsPrintNoSecret prints every connection in every way that fmt has.
func TestConnectionsPrintNoSecret(t *testing.T) {
	t.Parallel()
	bytes := fmt.Sprintf("%d", []byte(plantedSecret))
	goBytes := fmt.Sprintf("%#v", []byte(plantedSecret))
	shapes := []string{
		plantedSecret, base64.StdEncoding.EncodeToString([]byte(plantedSecret)), fmt.Sprintf("%x", plantedSecret), fmt.Sprintf("%X", plantedSecret),
		fmt.Sprintf("% x", plantedSecret), strings.Trim(bytes, "[]"), goBytes[strings.IndexByte(goBytes, '{')+1 : len(goBytes)-1],
	}
	for _, vendor := range adapter.Vendors() {
		if a, _ := adapter.Lookup(vendor); a.Describe().Internal { // it has no secrets
			continue
		}
		given := map[string]bool{}
		for settings, secrets := range planted(vendor) {
			conn := connect(t, vendor, settings, secrets)
			for name := range secrets {
				given[name] = true
			}
			holder := struct{ conn any }{conn}
			for _, flags := range []string{"", "+", "#", " ", "#+", "0", "200"} {
				for verb := 'A'; verb <= 'z'; verb++ {
					format := "%" + flags + string(verb)
					for _, v := range []any{conn, holder, &holder} {
						text := fmt.Sprintf(format, v)
						if i := slices.IndexFunc(shapes, func(s string) bool { return strings.Contains(text, s) }); i >= 0 {
							t.Errorf("%s: %s shows a secret: %.300s", vendor, format, text)
						}
					}
				}
			}
		}
		a, err := adapter.Lookup(vendor)
		if err != nil {
			t.Fatal(err)
		}
		for _, field := range a.Describe().Secrets {
			if !given[field.Name] {
				t.Errorf("%s: nothing was planted in %s, only in %v", vendor, field.Name, slices.Sorted(maps.Keys(given)))
			}
		}
	}
}
