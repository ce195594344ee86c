package admin

import (
	"cmp"
	"slices"
	"strings"

	"github.com/a-h/templ"

	"github.com/wedsync/wedsync/actors"
	"github.com/wedsync/wedsync/actors/adapter"
	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/edge/access"
	"github.com/wedsync/wedsync/edge/api"
	"github.com/wedsync/wedsync/edge/problem"
)

const connectPath = "/admin/connect"

// A vendor is connected in steps: chosen, entered, then tested, mapped and previewed while the integration is paused,
// so that nothing is sent and nothing is lost, and switched on by resuming it.
func (a *Admin) routeConnect(s *site) {
	s.page(page{path: connectPath, name: "Connect", icon: "connect", scope: access.IntegrationsWrite, show: a.chooseVendor})
	s.page(page{path: connectPath + "/{id}", under: connectPath, scope: access.IntegrationsWrite, show: a.connecting})
	s.act(connectPath+"/vendor/{vendor}/check", a.checkNew)
	s.act(connectPath+"/vendor/{vendor}/create", a.create)
	s.act(connectPath+"/{id}/preview", a.previewMapping)
	s.act(connectPath+"/{id}/map", a.mapChannels)
	s.act(connectPath+"/{id}/switch-on", a.switchOn)
}

// beingConnected is why an integration is paused until it is switched on.
const beingConnected = "it is being connected"

// vendorsOf are the vendors of one category.
type vendorsOf struct {
	category event.Category
	vendors  []adapter.Description
}

// vendorsByCategory leaves out what has no system outside.
func vendorsByCategory() []vendorsOf {
	var all []vendorsOf
	for _, id := range adapter.Vendors() {
		d, err := describe(id)
		if err != nil || d.Internal {
			continue
		}
		at := slices.IndexFunc(all, func(v vendorsOf) bool { return v.category == d.Category })
		if at < 0 {
			at = len(all)
			all = append(all, vendorsOf{category: d.Category})
		}
		all[at].vendors = append(all[at].vendors, d)
	}
	slices.SortFunc(all, func(a, b vendorsOf) int { return cmp.Compare(categoryName(a.category), categoryName(b.category)) })
	return all
}

func categoryName(c event.Category) string {
	if c == "" {
		return "Any system"
	}
	return strings.NewReplacer("crm", "CRM", "Whatsapp", "WhatsApp").Replace(sentence(strings.ReplaceAll(string(c), "-", " ")))
}

func (a *Admin) chooseVendor(v *visit) (screen, error) {
	chosen := v.query("vendor")
	if chosen == "" {
		return screen{title: "Connect a vendor", body: vendorChoice(vendorsByCategory())}, nil
	}
	d, err := describe(chosen)
	if err != nil {
		return screen{}, err
	}
	return screen{title: "Connect " + d.Name, body: vendorForm(v, d)}, nil
}

func (a *Admin) checkNew(v *visit) (templ.Component, error) {
	d, err := describe(v.PathValue("vendor"))
	if err != nil {
		return nil, err
	}
	wrong, err := v.Check(v.Context(), api.Checked{Vendor: d.Vendor, Settings: settingsOf(v.PostForm, d.Settings), Secrets: secretsOf(v.PostForm, d.Secrets)})
	if err != nil {
		return nil, err
	}
	return wrongs(d, wrong), nil
}

// create stores what was entered, paused, if nothing is wrong with it.
func (a *Admin) create(v *visit) (templ.Component, error) {
	d, err := describe(v.PathValue("vendor"))
	if err != nil {
		return nil, err
	}
	settings, secrets := settingsOf(v.PostForm, d.Settings), secretsOf(v.PostForm, d.Secrets)
	wrong, err := v.Check(v.Context(), api.Checked{Vendor: d.Vendor, Settings: settings, Secrets: secrets})
	if err != nil {
		return nil, err
	}
	if len(wrong) > 0 {
		p := problem.New(problem.IntegrationInvalid, "some of what %s needs is missing or wrong", d.Name)
		p.Errors = wrong
		return nil, p
	}
	owner, err := readOwner(v.PostFormValue("owner"))
	if err != nil {
		return nil, err
	}
	made, err := v.Create(v.Context(), api.Integration{
		Name: strings.TrimSpace(v.PostFormValue("name")), Vendor: d.Vendor, Category: cmp.Or(d.Category, event.Category(v.PostFormValue("category"))),
		Owner: owner, Settings: settings, Channel: strings.TrimSpace(v.PostFormValue("channel")),
		Paused: &event.Pause{Reason: beingConnected, By: v.Caller().Actor(), At: v.now().UTC()},
	})
	if err != nil {
		return nil, err
	}
	if len(secrets) > 0 {
		if err := v.SetSecrets(v.Context(), made.ID, secrets); err != nil {
			return nil, err
		}
	}
	return goTo(connectPath + "/" + made.ID), nil
}

// readOwner reads "supplierId=42, venueId=7".
func readOwner(text string) (map[string]string, error) {
	owner := map[string]string{}
	for pair := range strings.SplitSeq(text, ",") {
		if pair = strings.TrimSpace(pair); pair == "" {
			continue
		}
		name, value, ok := strings.Cut(pair, "=")
		if name, value = strings.TrimSpace(name), strings.TrimSpace(value); !ok || name == "" || value == "" {
			return nil, problem.New(problem.FieldInvalid, "owner: %.80q is not like supplierId=42", pair)
		}
		owner[name] = value
	}
	return owner, nil
}

// connecting is the page of one that is paused until it is switched on.
func (a *Admin) connecting(v *visit) (screen, error) {
	in, d, err := v.described()
	if err != nil {
		return screen{}, err
	}
	return screen{title: "Connect " + d.Name, body: connectSteps(v, in, d)}, nil
}

// mappingOf reads the form of a mapping to one integration.
func mappingOf(v *visit) api.Mapping {
	m := api.Mapping{Pattern: strings.TrimSpace(v.PostFormValue("pattern")), Targets: []event.Target{{Integration: v.PathValue("id")}}}
	for t := range strings.SplitSeq(v.PostFormValue("types"), ",") {
		if t = strings.TrimSpace(t); t != "" {
			m.Types = append(m.Types, t)
		}
	}
	return m
}

// previewed is how many of the newest events a preview looks at, and how many of them it shows.
const (
	previewed      = 200
	previewedShown = 10
)

func (a *Admin) previewMapping(v *visit) (templ.Component, error) {
	m := mappingOf(v)
	if m.Pattern == "" {
		return previewText("Write a pattern to see which events it would send."), nil
	}
	m.ID = "preview"
	c, err := v.CompareMapping(v.Context(), m, previewed)
	if err != nil {
		return previewText(problem.Of(err).Detail), nil // what is being typed is wrong now and then
	}
	differences := slices.DeleteFunc(c.Differences, func(d actors.Difference) bool { return d.Integration != v.PathValue("id") })
	return previewList(c.Events, differences[max(0, len(differences)-previewedShown):]), nil
}

func (a *Admin) mapChannels(v *visit) (templ.Component, error) {
	m := mappingOf(v)
	err := needsPattern(m)
	if err == nil {
		m, err = v.CreateMapping(v.Context(), m)
	}
	if err != nil {
		return nil, err
	}
	return done("Mapped by " + m.ID + ". Events of " + m.Pattern + " wait until it is switched on."), nil
}

// switchOn lets go what waited, and leads to the integration's page.
func (a *Admin) switchOn(v *visit) (templ.Component, error) {
	id := v.PathValue("id")
	if err := v.Resume(v.Context(), id); err != nil {
		return nil, err
	}
	return goTo(integrationURL(id)), nil
}
