package ingest_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/wedsync/wedsync/edge/ingest"
)

// pieces is what text that hides markup is made of.
var pieces = []string{
	"<", ">", "&", ";", "#", "=", "/", "!", "?", "-", "--", " ", "\n", "\"", "'", "x", "3c", "60", "X3C", "38", "26", "a",
	"b", "lt", "gt", "amp", "quot", "copy", "not", "script", "style", "textarea", "plaintext", "title", "svg", "br", "p", "iframe",
	"[CDATA[", "]]", "\u200b", "\u202e", "\x00", "\u200d", "\ufeff", "&lt;", "&amp;", "&#60;", "<b>", "</b>", "<!--", "-->",
	"@x.yz", "semi", "nbsp", "#8238", "Tab", "NewLine", "bsol", "É",
}

// FuzzPieces looks for text that stays markup, or becomes it when unescaped.
func FuzzPieces(f *testing.F) {
	f.Add([]byte{0, 22, 1})
	f.Add([]byte{2, 23, 3, 22, 2, 24, 3})
	f.Fuzz(func(t *testing.T, choice []byte) {
		var text strings.Builder
		for _, c := range choice {
			text.WriteString(pieces[int(c)%len(pieces)])
		}
		payload, _ := json.Marshal(map[string]string{"k": text.String()})
		log := &memoryLog{}
		in := newIngest(t, ingest.Config{Log: log})
		if _, err := in.Publish(t.Context(), draft(string(payload))); err != nil {
			t.Fatalf("%s: %v", payload, err)
		}
		once := log.all()[0].Payload
		var out map[string]string
		if err := json.Unmarshal(once, &out); err != nil {
			t.Fatal(err)
		}
		checkPlain(t, out["k"])
		if twice := through(t, string(once)); twice != string(once) {
			t.Errorf("cleaned twice, %s became %s", once, twice)
		}
	})
}
