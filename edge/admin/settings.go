package admin

import (
	"bytes"
	"encoding/json"
	"net/url"
	"strconv"
	"strings"

	"github.com/a-h/templ"

	"github.com/wedsync/wedsync/actors/adapter"
	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/edge/api"
	"github.com/wedsync/wedsync/edge/problem"
)

func (a *Admin) routeSettings(s *site) {
	s.act(integrationPath+"/check", a.checkSettings)
	s.act(integrationPath+"/settings", a.saveSettings)
	s.act(integrationPath+"/secrets/{name}/rotate", a.rotateSecret)
	s.act(integrationPath+"/secrets/retire", command("Secrets from before neither sign nor verify any more.", func(v *visit, id string) error {
		return v.RetireSecrets(v.Context(), id)
	}))
}

// The names of a form's fields: as problems name what is wrong.
const (
	settingField = "settings."
	secretField  = "secrets."
)

// settingTexts are an integration's settings as a form has them.
func settingTexts(settings json.RawMessage) map[string]string {
	var values map[string]json.RawMessage
	texts := map[string]string{}
	if json.Unmarshal(settings, &values) != nil {
		return texts
	}
	for name, raw := range values {
		var text string
		if json.Unmarshal(raw, &text) != nil {
			text = string(raw) // an object, or a number
		}
		texts[name] = text
	}
	return texts
}

// settingsOf reads what a form has. What is empty is left out, so that the default holds; an object is taken as one.
func settingsOf(form url.Values, fields []adapter.Field) json.RawMessage {
	values := map[string]any{}
	for _, f := range fields {
		text := strings.TrimSpace(form.Get(settingField + f.Name))
		switch {
		case text == "":
		case text[0] == '{' && json.Valid([]byte(text)):
			values[f.Name] = json.RawMessage(text)
		default:
			values[f.Name] = text
		}
	}
	var b bytes.Buffer
	_ = json.NewEncoder(&b).Encode(values) // of texts and of valid JSON
	return b.Bytes()
}

// secretsOf reads the secrets that were entered.
func secretsOf(form url.Values, fields []adapter.Field) map[string]event.Secret {
	values := map[string]event.Secret{}
	for _, f := range fields {
		if text := strings.TrimSpace(form.Get(secretField + f.Name)); text != "" {
			values[f.Name] = event.SecretOf(text)
		}
	}
	return values
}

// describe returns what must be entered for a vendor.
func describe(vendor string) (adapter.Description, error) {
	a, err := adapter.Lookup(vendor)
	if err != nil {
		return adapter.Description{}, problem.New(problem.IntegrationInvalid, "%v", err)
	}
	return a.Describe(), nil
}

// described returns the integration that the address names, and what must be entered for it.
func (v *visit) described() (in api.Integration, d adapter.Description, err error) {
	if in, err = v.Integration(v.Context(), v.PathValue("id")); err == nil {
		d, err = describe(in.Vendor)
	}
	return in, d, err
}

// checkSettings says beside each field what is wrong with it.
func (a *Admin) checkSettings(v *visit) (templ.Component, error) {
	in, d, err := v.described()
	if err != nil {
		return nil, err
	}
	wrong, err := v.Check(v.Context(), api.Checked{ID: in.ID, Settings: settingsOf(v.PostForm, d.Settings), Secrets: secretsOf(v.PostForm, d.Secrets)})
	if err != nil {
		return nil, err
	}
	return wrongs(d, wrong), nil
}

// saveSettings stores what was entered, unless somebody else did meanwhile.
func (a *Admin) saveSettings(v *visit) (templ.Component, error) {
	in, d, err := v.described()
	if err != nil {
		return nil, err
	}
	in.Problems = nil
	in.Name = strings.TrimSpace(v.PostFormValue("name"))
	in.Settings = settingsOf(v.PostForm, d.Settings)
	if len(d.Receives) > 0 {
		in.Channel = strings.TrimSpace(v.PostFormValue("channel"))
	}
	if in.Revision, err = strconv.ParseUint(v.PostFormValue("revision"), 10, 64); err != nil {
		return nil, problem.New(problem.FieldInvalid, "the form has lost its revision; load the page again")
	}
	stored, err := v.Put(v.Context(), in)
	if err != nil {
		return nil, err
	}
	if secrets := secretsOf(v.PostForm, d.Secrets); len(secrets) > 0 {
		if err := v.SetSecrets(v.Context(), in.ID, secrets); err != nil {
			return nil, err
		}
		if stored, err = v.Integration(v.Context(), in.ID); err != nil {
			return nil, err
		}
	}
	return saved(d, stored), nil
}

// rotateSecret shows a new secret, once.
func (a *Admin) rotateSecret(v *visit) (templ.Component, error) {
	name := v.PathValue("name")
	made, err := v.RotateSecret(v.Context(), v.PathValue("id"), name)
	if err != nil {
		return nil, err
	}
	return newSecret(name, made.Reveal()), nil
}

// reasonsBy orders what is wrong by the fields of a form.
func reasonsBy(wrong []problem.Field) map[string]string {
	by := map[string]string{}
	for _, f := range wrong {
		if by[f.Field] == "" {
			by[f.Field] = f.Reason
		}
	}
	return by
}
