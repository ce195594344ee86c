package admin

import (
	"cmp"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/a-h/templ"

	"github.com/wedsync/wedsync/actors"
	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/edge/access"
	"github.com/wedsync/wedsync/edge/api"
	"github.com/wedsync/wedsync/edge/problem"
)

const (
	mappingsPath = "/admin/mappings"
	newMapping   = mappingsPath + "/new" // the page of one that is not there yet
	previewLast  = 100                   // so many of the newest events are looked at
	unsaved      = "map_preview"         // what a mapping without an id is called in its preview
)

// mappingURL is where a mapping is changed, and what is below it.
func mappingURL(id, below string) string { return "/admin/mapping/" + url.PathEscape(id) + below }

func (a *Admin) routeMappings(s *site) {
	s.page(page{path: mappingsPath, name: "Mappings", icon: "mapping", scope: access.MappingsRead, show: a.mappings})
	s.page(page{path: newMapping, under: mappingsPath, scope: access.MappingsWrite, show: a.newMapping})
	s.page(page{path: "/admin/mapping/{id}", under: mappingsPath, scope: access.MappingsRead, show: a.mapping})
	s.part(mappingsPath+"/target", func(v *visit) (templ.Component, error) { return targetFields(event.Target{}, true), nil })
	s.part(mappingsPath+"/field", func(v *visit) (templ.Component, error) { return fieldFields("", "", true), nil })
	s.act(mappingsPath+"/preview", a.compareMapping)
	s.act(mappingsPath+"/save", a.saveMapping)
	s.act("/admin/mapping/{id}/delete", a.deleteMapping)
}

// mappingList is what the page shows.
type mappingList struct {
	search   string
	all      int
	mappings []api.Mapping
	page     int // from 1
	pages    int
}

func (a *Admin) mappings(v *visit) (screen, error) {
	all, err := v.Mappings(v.Context(), "", everything)
	if err != nil {
		return screen{}, err
	}
	x := mappingList{search: v.trimmed("q"), all: len(all)}
	words := wordsOf(x.search)
	found := slices.DeleteFunc(all, func(m api.Mapping) bool {
		return !hasAll(m.ID+" "+m.Pattern+" "+strings.Join(m.Types, " ")+" "+targetsText(m.Targets), words)
	})
	x.pages = max(1, (len(found)+shownAtOnce-1)/shownAtOnce)
	x.page, _ = strconv.Atoi(v.query("page"))
	x.page = min(max(x.page, 1), x.pages)
	from := (x.page - 1) * shownAtOnce
	x.mappings = found[from:min(from+shownAtOnce, len(found))]
	return screen{title: "Mappings", body: mappingsBody(v, &x), live: []part{{"mappings", mappingsTable(&x)}}}, nil
}

// url is another page of the list.
func (x *mappingList) url(page int) string {
	return address(mappingsPath, map[string]string{"q": x.search, "page": strconv.Itoa(page)})
}

// targetName is whom a target means.
func targetName(t event.Target) string {
	if t.Category != "" {
		return "all of " + string(t.Category)
	}
	return t.Integration
}

func targetsText(targets []event.Target) string {
	names := make([]string, len(targets))
	for i, t := range targets {
		names[i] = targetName(t)
	}
	return strings.Join(names, ", ")
}

// mappingView is a mapping as it is changed.
type mappingView struct {
	api.Mapping
	integrations []string // that can be named
	told         []string // what was changed just now; nil: nothing was
}

func (v *visit) mappingView(m api.Mapping) (*mappingView, error) {
	x := &mappingView{Mapping: m}
	if !v.may(access.IntegrationsRead) {
		return x, nil
	}
	all, err := v.Integrations(v.Context(), "", suggested)
	for _, in := range all {
		x.integrations = append(x.integrations, in.ID)
	}
	return x, err
}

// suggested is how many integrations a field suggests.
const suggested = 500

func (a *Admin) mapping(v *visit) (screen, error) {
	m, err := v.Mapping(v.Context(), v.PathValue("id"))
	if err != nil {
		return screen{}, err
	}
	return v.mappingScreen(m)
}

func (a *Admin) newMapping(v *visit) (screen, error) {
	return v.mappingScreen(api.Mapping{Targets: []event.Target{{}}})
}

func (v *visit) mappingScreen(m api.Mapping) (screen, error) {
	x, err := v.mappingView(m)
	return screen{title: cmp.Or(m.Pattern, "New mapping"), body: mappingBody(v, x)}, err
}

// editedMapping reads a form. Targets and fields are rows of it: the first of each name belongs to the first row.
func editedMapping(form url.Values) (m api.Mapping, err error) {
	get := func(name string) string { return strings.TrimSpace(form.Get(name)) }
	m = api.Mapping{ID: get("id"), Pattern: get("pattern"), Types: listOf(get("types")), When: get("when"), Targets: []event.Target{}}
	if text := get("revision"); text != "" {
		if m.Revision, err = strconv.ParseUint(text, 10, 64); err != nil {
			return m, problem.New(problem.FieldInvalid, "the form has lost its revision; load the page again")
		}
	}
	for i := range form["to"] {
		t, err := targetOf(func(name string) string {
			if all := form[name]; i < len(all) {
				return strings.TrimSpace(all[i])
			}
			return ""
		})
		if err != nil {
			return m, err
		}
		m.Targets = append(m.Targets, t)
	}
	for i, name := range form["field"] {
		if name = strings.TrimSpace(name); name == "" || i >= len(form["expression"]) {
			continue
		}
		if m.Fields == nil {
			m.Fields = map[string]string{}
		}
		m.Fields[name] = strings.TrimSpace(form["expression"][i])
	}
	return m, nil
}

// needsPattern returns an error for a mapping of no channels.
func needsPattern(m api.Mapping) error {
	if m.Pattern == "" {
		return problem.New(problem.MappingInvalid, "its channels are missing; write a name, or a pattern such as supplier:dashboard:{supplierId}")
	}
	return nil
}

// targetOf reads one row of the targets.
func targetOf(get func(string) string) (t event.Target, err error) {
	if t.Integration = get("to"); get("kind") == "category" {
		t.Integration, t.Category = "", event.Category(get("to"))
	}
	t.Types, t.Recipients, t.Critical = listOf(get("targetTypes")), listOf(get("recipients")), listOf(get("critical"))
	if q := (event.QuietHours{From: get("quietFrom"), To: get("quietTo"), TimeZone: get("quietZone")}); q != (event.QuietHours{}) {
		t.QuietHours = &q
	}
	if text := get("digest"); text != "" {
		window, err := time.ParseDuration(text)
		if err != nil {
			return t, problem.New(problem.FieldInvalid, "the digest's window %.40q is no duration such as 15m", text)
		}
		t.Digest = &event.Digest{Window: event.Duration(window)}
	}
	return t, nil
}

// listOf takes apart what commas or spaces separate.
func listOf(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' || r == '\n' || r == '\r' || r == '\t' })
}

// compareMapping tells what the mapping in the form would do otherwise, or what is wrong with it.
func (a *Admin) compareMapping(v *visit) (templ.Component, error) {
	m, err := editedMapping(v.PostForm)
	var c actors.Comparison
	if m.ID = cmp.Or(m.ID, unsaved); err == nil {
		c, err = v.CompareMapping(v.Context(), m, previewLast)
	}
	if err != nil {
		switch p := problem.Of(err); p.Code {
		case problem.MappingInvalid, problem.FieldInvalid:
			return mappingWrong(p), nil
		}
		return nil, err
	}
	return comparison(&c), nil
}

// saveMapping stores the mapping in the form, unless somebody else changed it meanwhile, and tells what changed.
func (a *Admin) saveMapping(v *visit) (templ.Component, error) {
	m, err := editedMapping(v.PostForm)
	if err == nil {
		err = needsPattern(m)
	}
	if err != nil {
		return nil, err
	}
	var was api.Mapping
	if m.ID != "" {
		was, err = v.Mapping(v.Context(), m.ID)
		switch {
		case err == nil && m.Revision == 0:
			return nil, problem.New(problem.FieldInvalid, "there is a mapping %s already; change that one, or take another id", m.ID)
		case err != nil && (m.Revision > 0 || problem.Of(err).Code != problem.MappingUnknown):
			return nil, err
		}
	}
	put := v.PutMapping
	if m.ID == "" {
		put = v.CreateMapping
	}
	stored, err := put(v.Context(), m)
	if err != nil {
		return nil, err
	}
	if m.Revision == 0 {
		return goTo(mappingURL(stored.ID, "")), nil
	}
	x, err := v.mappingView(stored)
	if err != nil {
		return nil, err
	}
	x.told = changesOf(&was, &stored)
	return mappingEditor(v, x), nil
}

func (a *Admin) deleteMapping(v *visit) (templ.Component, error) {
	if err := v.DeleteMapping(v.Context(), v.PathValue("id")); err != nil {
		return nil, err
	}
	return mappingDeleted(v.PathValue("id")), nil
}

// changesOf says what differs between two mappings, a line each.
func changesOf(was, is *api.Mapping) []string {
	told := []string{}
	compare := func(what, was, is string) {
		if was != is {
			told = append(told, fmt.Sprintf("%s: %s, was %s", what, cmp.Or(is, "none"), cmp.Or(was, "none")))
		}
	}
	compare("Channels", was.Pattern, is.Pattern)
	compare("Event types", strings.Join(was.Types, ", "), strings.Join(is.Types, ", "))
	compare("Targets", targetsText(was.Targets), targetsText(is.Targets))
	for i := range is.Targets {
		if i < len(was.Targets) && targetName(was.Targets[i]) == targetName(is.Targets[i]) {
			compare("Rules of "+targetName(is.Targets[i]), strings.Join(rulesOf(&was.Targets[i]), "; "), strings.Join(rulesOf(&is.Targets[i]), "; "))
		}
	}
	compare("Condition", was.When, is.When)
	names := slices.Sorted(maps.Keys(was.Fields))
	for name := range is.Fields {
		if _, known := was.Fields[name]; !known {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		compare("Field "+name, was.Fields[name], is.Fields[name])
	}
	return told
}

// rulesOf are a target's rules in words.
func rulesOf(t *event.Target) []string {
	var all []string
	add := func(what, text string) {
		if text != "" {
			all = append(all, what+" "+text)
		}
	}
	add("only", strings.Join(t.Types, ", "))
	add("to", strings.Join(t.Recipients, ", "))
	if q := t.QuietHours; q != nil {
		add("quiet", q.From+"–"+q.To+" "+q.TimeZone)
	}
	if t.Digest != nil {
		add("digest of", lasted(time.Duration(t.Digest.Window)))
	}
	add("at once", strings.Join(t.Critical, ", "))
	return all
}
