package load

import (
	"embed"
	"encoding/json"
	"html/template"
	"io"
	"io/fs"
)

// The page: one template, and what it has inside but for the library that draws its charts.
//
//go:embed page
var page embed.FS

// WriteJSON writes the report as JSON.
func (rep *Report) WriteJSON(out io.Writer) error {
	e := json.NewEncoder(out)
	e.SetEscapeHTML(false)
	e.SetIndent("", " ")
	return e.Encode(rep)
}

// UPlot is the library that draws the charts, https://github.com/leeoniya/uPlot.
type UPlot struct{ Script, Style string }

// WriteHTML writes the report as one page that needs nothing else.
func (rep *Report) WriteHTML(out io.Writer, charts UPlot) error {
	text := func(name string) string {
		data, _ := fs.ReadFile(page, "page/"+name) // it is there: the build says so
		return string(data)
	}
	t, err := template.New("report").Parse(text("report.html"))
	if err != nil {
		return err
	}
	return t.Execute(out, map[string]any{
		"Report": rep,
		"Styles": template.CSS(charts.Style + text("report.css")), // #nosec G203 -- it is ours
		"Code":   template.JS(charts.Script + text("report.js")),  // #nosec G203 -- it is ours
	})
}
