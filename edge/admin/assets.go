package admin

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"

	"github.com/wedsync/wedsync/edge/problem"
)

// What the browser loads. Files under static/vendor are those of the npm packages htmx.org, idiomorph and uplot,
// unchanged, in the versions that their names tell.
//
//go:embed static
var static embed.FS

// bundles says which files make up what is served under one name.
var bundles = map[string][]string{
	"app.css":   {"app.css"},
	"app.js":    {"vendor/htmx-2.0.11.min.js", "vendor/idiomorph-ext-0.8.0.min.js", "app.js"},
	"chart.css": {"vendor/uPlot-1.6.32.min.css"},
	"chart.js":  {"vendor/uPlot-1.6.32.iife.min.js", "chart.js"},
	"tail.js":   {"tail.js"},
	"icon.svg":  {"icon.svg"},
}

// UPlot returns the library that draws the charts, for other pages: its script and its style sheet.
func UPlot() (script, style string) {
	file := func(name string) string {
		data, err := static.ReadFile("static/" + name)
		if err != nil {
			panic(err) // it was built in
		}
		return string(data)
	}
	return file(bundles["chart.js"][0]), file(bundles["chart.css"][0])
}

// asset is one as it is sent.
type asset struct {
	kind   string // its content type
	plain  []byte
	zipped []byte
}

// assets are all of them, by the name that has a hash of what is in it: so it can be kept for ever.
type assets struct {
	byName map[string]asset
	names  map[string]string // by the plain name
}

// loadAssets compresses all of them, once.
func loadAssets() assets {
	all := assets{map[string]asset{}, map[string]string{}}
	for name, files := range bundles {
		var b bytes.Buffer
		for _, file := range files {
			data, err := static.ReadFile("static/" + file)
			if err != nil {
				panic(err) // it was built in
			}
			b.Write(data)
			b.WriteByte('\n')
		}
		hash := sha256.Sum256(b.Bytes())
		ext := path.Ext(name)
		hashed := strings.TrimSuffix(name, ext) + "." + hex.EncodeToString(hash[:6]) + ext
		all.names[name] = hashed
		all.byName[hashed] = asset{mime.TypeByExtension(ext), b.Bytes(), zip(b.Bytes(), gzip.BestCompression)}
	}
	return all
}

// zip compresses. Writing to memory does not fail.
func zip(data []byte, level int) []byte {
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, level)
	if err != nil {
		panic(err) // there is no such level
	}
	_, _ = w.Write(data)
	_ = w.Close()
	return b.Bytes()
}

// url is where a bundle is.
func (a assets) url(name string) string {
	hashed, ok := a.names[name]
	if !ok {
		panic(fmt.Sprintf("admin: there is no asset %q", name))
	}
	return "/admin/assets/" + hashed
}

func (a assets) serve(w http.ResponseWriter, r *http.Request) {
	one, ok := a.byName[r.PathValue("name")]
	if !ok {
		problem.Write(w, r, problem.New(problem.NotFound, "there is no such asset in this release; load the page again"))
		return
	}
	h := w.Header()
	h.Set("Content-Type", one.kind)
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	sendZipped(w, r, one.plain, one.zipped)
}

// sendZipped sends the smaller form of a body to who takes it.
func sendZipped(w http.ResponseWriter, r *http.Request, plain, zipped []byte) {
	h := w.Header()
	h.Add("Vary", "Accept-Encoding")
	body := plain
	if takesZipped(r) {
		h.Set("Content-Encoding", "gzip")
		body = zipped
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write(body)
}

func takesZipped(r *http.Request) bool {
	return strings.Contains(r.Header.Get("Accept-Encoding"), "gzip")
}
