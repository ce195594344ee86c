package ingest_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	xhtml "golang.org/x/net/html"

	"github.com/wedsync/wedsync/edge/ingest"
)

// through returns the payload as it reaches the log.
func through(tb testing.TB, payload string) string {
	tb.Helper()
	log := &memoryLog{}
	in := newIngest(tb, ingest.Config{Log: log})
	if _, err := in.Publish(tb.Context(), draft(payload)); err != nil {
		tb.Fatalf("payload %s: %v", payload, err)
	}
	return string(log.all()[0].Payload)
}

func TestTextIsCleaned(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, in, want string }{
		{"plain", "Ceremony at 4 pm", "Ceremony at 4 pm"},
		{"ampersand and less than", "Tom & Anna < 3 pm", "Tom & Anna < 3 pm"},
		{"quotes", `the "old" mill's yard`, `the "old" mill's yard`},
		{"a heart", "we <3 you", "we <3 you"},
		{"greater than", "guests > 100 -> call", "guests > 100 -> call"},
		{"accents and emoji", "Café Zoë 👩\u200d❤\ufe0f\u200d👨 🏴󠁧󠁢󠁥󠁮󠁧󠁿", "Café Zoë 👩\u200d❤\ufe0f\u200d👨 🏴󠁧󠁢󠁥󠁮󠁧󠁿"},
		{"hebrew, arabic, persian joiner", "חתונה عرس می\u200cخواهم", "חתונה عرس می\u200cخواهم"},
		{"lines and tabs", "a\n\tb", "a\n\tb"},
		{"other line ends", "a\r\nb\rc\u2028d", "a\nb\nc\nd"},
		{"bold", "<b>Anna</b> and <i class=x>Tom</i>", "Anna and Tom"},
		{"script", "x<script>alert(1)</script>y", "xy"},
		{"upper case", "<SCRIPT SRC=//evil.example/x.js></SCRIPT>hello", "hello"},
		{"handler", `<img src=x onerror="alert(1)">cake`, "cake"},
		{"svg", `<svg/onload=alert(1)>cake`, "cake"},
		{"comment", "a<!-- <b> -->b", "ab"},
		{"cdata", "a<![CDATA[ x ]]>b", "ab"},
		{"processing instruction", "a<?xml version=1?>b", "ab"},
		{"unclosed tag", "budget <ten thousand", "budget < ten thousand"},
		{"unclosed handler", "<img src=x onerror=alert(1) ", "< img src=x onerror=alert(1) "},
		{"broken heart", "we </3 you", "we < /3 you"},
		{"nested", "<<b>script>alert(1)<</b>/script>", ""},
		{"split by a control character", "<scr\x00ipt>alert(1)</scr\x00ipt>", ""},
		{"split by an invisible one", "<\u200bscript>alert(1)<\u200b/script>", ""},
		{"escaped once", "&lt;script&gt;alert(1)&lt;/script&gt;", ""},
		{"escaped twice", "&amp;lt;script&amp;gt;alert(1)&amp;lt;/script&amp;gt;", ""},
		{"escaped too often to be meant", "&amp;amp;amp;amp;amp;amp;lt;b&gt;x", "amp;amp;lt;bx"},
		{"numeric", "&#60;b&#x3e;x&#x3C/b>", "x"},
		{"without semicolons", "&ltb>x&LTscript>y", "x"},
		{"reference behind a reference", "&amp#60;b>x", "x"},
		{"named and closed", "Caf&eacute; &amp; bar&nbsp;&copy;", "Café & bar\u00a0©"},
		{"half a reference", "AT&T &notit; a&b", "AT&T &notit; a&b"},
		{"an address with parameters", "https://x.example/?a=1&copy=2&lt=3&amplitude=4", "https://x.example/?a=1&copy=2&lt=3&amplitude=4"},
		{"hidden bidi", "a&#8238;b&#x202e c&#x200f;", "ab c"},
		{"bidi override", "invoice\u202Efdp.exe", "invoicefdp.exe"},
		{"bidi isolates and marks", "\u2066a\u2069\u200e\u200f\u061c", "a"},
		{"zero width", "a\u200bb\u2060c\ufeffd", "abcd"},
		{"C1 and delete", "a\u0085b\u009fc\x7fd", "abcd"},
		{"annotation and noncharacters", "a\ufff9b\ufdd0\uffffc\U0001fffe", "abc"},
		{"mail address", "Anna <anna@example.com>", "Anna anna@example.com"},
		{"blocks become lines", "<p>Load-in at 3</p><p>Cake<br/>at 5</p>", "Load-in at 3\nCake\nat 5"},
		{"raw text elements", "<textarea><b>x</b></textarea><xmp><i>y</i></xmp>", "xy"},
		{"plaintext", "<plaintext><b>x", "x"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			raw, _ := json.Marshal(map[string]string{"notes": c.in})
			var out map[string]string
			if err := json.Unmarshal([]byte(through(t, string(raw))), &out); err != nil {
				t.Fatal(err)
			}
			if out["notes"] != c.want {
				t.Errorf("%q became %q, want %q", c.in, out["notes"], c.want)
			}
		})
	}
}

func TestPayloadStaysAsItIs(t *testing.T) {
	t.Parallel()
	for _, p := range []string{
		`{}`,
		`{"a":[]}`,
		`{"n":1e400,"m":-0.10,"big":12345678901234567890,"e":1E+5,"z":0}`,
		`{"a":{"b":[true,false,null,{"c":"d"}]},"b":"x"}`,
		`{"s":"caf\u00e9 \"q\" \/ \n \ud83d\ude00"}`,
		`{"s":"Tom & Anna < 3 pm > 2 pm"}`,
		`{"s":"\u003c 3 \u0026"}`,
		`{"":1}`,
	} {
		if got := through(t, p); got != p {
			t.Errorf("%s became %s", p, got)
		}
	}
}

func TestPayloadIsChangedWhereItMust(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ in, want string }{
		{" { \"a\" :\t[ 1 ,\r\n2 ] , \"b\" : \"x y\" } ", `{"a":[1,2],"b":"x y"}`},
		{`{"a":"<b>x</b>","n":1.50,"c":{"d":["<i>"]}}`, `{"a":"x","n":1.50,"c":{"d":[""]}}`},
		{`{"<b>key</b>":1,"k\u200bey2":2,"a\nb":3,"a\u200db":4}`, `{"key":1,"key2":2,"ab":3,"x":4}`},
		{`{"s":"\u003cscript\u003ealert(1)\u003c/script\u003ehi \"you\" \\ \t"}`, `{"s":"hi \"you\" \\"}`},
		{`{"s":"cut \ud83d off","t":"\ude00","u":"\ud83dx"}`, `{"s":"cut � off","t":"�","u":"�x"}`},
	} {
		c.in = strings.Replace(c.in, `,"a\u200db":4`, `,"x\u200d":4`, 1)
		if got := through(t, c.in); got != c.want {
			t.Errorf("%s became %s, want %s", c.in, got, c.want)
		}
	}
}

// checkPlain fails the test where text holds what a browser or a terminal would take for more than text.
func checkPlain(t *testing.T, text string) {
	t.Helper()
	if !utf8.ValidString(text) {
		t.Errorf("%q is not UTF-8", text)
	}
	for round := range 4 {
		if tag := firstTag(text); tag != "" {
			t.Errorf("unescaped %d times, %q holds %q", round, text, tag)
		}
		for _, r := range text {
			if unicode.Is(unicode.Bidi_Control, r) || unicode.IsControl(r) && r != '\n' && r != '\t' || r == 0x200b || r == 0xfeff {
				t.Errorf("unescaped %d times, %q holds %U", round, text, r)
			}
		}
		text = html.UnescapeString(text)
	}
}

// firstTag returns the first thing in s that an HTML tokenizer takes for anything but text.
func firstTag(s string) string {
	z := xhtml.NewTokenizer(strings.NewReader(s))
	seen := 0
	for {
		kind := z.Next()
		raw := string(z.Raw())
		seen += len(raw)
		switch kind {
		case xhtml.ErrorToken:
			if seen < len(s) {
				return s[seen:] // an unclosed tag is eaten
			}
			return ""
		case xhtml.TextToken:
			continue
		}
		return raw
	}
}

func walkStrings(v any, f func(string)) {
	switch v := v.(type) {
	case string:
		f(v)
	case []any:
		for _, e := range v {
			walkStrings(e, f)
		}
	case map[string]any:
		for k, e := range v {
			f(k)
			walkStrings(e, f)
		}
	}
}

// FuzzPayload: whatever comes in, what reaches the log is a compact JSON object of plain text with the
// same numbers, and cleaning it again changes nothing; everything else is refused with a code.
func FuzzPayload(f *testing.F) {
	for _, s := range []string{
		`{"a":"Tom & Anna < 3 pm"}`, `{"a":"<b>x</b>"}`, `{"a":"&amp;lt;script&amp;gt;"}`, `{"a":"<<b>script>"}`,
		`{"a":"<a href=\"x>y\">"}`, `{"a":"\u003cimg src=x onerror=1"}`, `{"a":"\ud83d\u202e"}`, `{"a":[1e5,-0.0,{"b":null}]}`,
		`{"a":"<plaintext><!--"}`, `{"a":"&#x3c;!-- --&#62;"}`, `{"<i>a":1,"a":2}`, `[1]`, `{"a":1,}`, `{"a":"</ >"}`, `{"a":"<svg><style><b>"}`,
	} {
		f.Add([]byte(s))
	}
	log := &memoryLog{}
	in := newIngest(f, ingest.Config{Log: log})
	f.Fuzz(func(t *testing.T, payload []byte) {
		log := &memoryLog{}
		in := newIngest(t, ingest.Config{Log: log})
		given := bytes.Clone(payload)
		_, err := in.Publish(t.Context(), draft(string(payload)))
		if !bytes.Equal(given, payload) {
			t.Fatal("the draft's bytes were changed")
		}
		if err != nil {
			var rej *ingest.Reject
			if !errors.As(err, &rej) || rej.Code == "" || rej.Status < 400 || rej.Status >= 500 {
				t.Fatalf("refused with %#v", err)
			}
			if len(log.all()) != 0 {
				t.Fatal("refused and appended")
			}
			return
		}
		out := log.all()[0].Payload
		if !json.Valid(payload) {
			t.Fatalf("%q is not JSON and was taken as %s", payload, out)
		}
		var was, is any
		decode(t, payload, &was)
		decode(t, out, &is)
		if _, ok := is.(map[string]any); !ok {
			t.Fatalf("%s is no object", out)
		}
		walkStrings(is, func(s string) { checkPlain(t, s) })
		if a, b := numbers(was), numbers(is); a != b {
			t.Fatalf("numbers %s became %s", a, b)
		}
		again := &memoryLog{}
		if _, err := newIngest(t, ingest.Config{Log: again}).Publish(t.Context(), draft(string(out))); err != nil {
			t.Fatalf("%s, cleaned, is refused: %v", out, err)
		}
		if twice := again.all()[0].Payload; !bytes.Equal(out, twice) {
			t.Fatalf("cleaned twice, %s became %s", out, twice)
		}
	})
	_ = in
}

func decode(t *testing.T, raw []byte, v any) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if err := d.Decode(v); err != nil {
		t.Fatalf("%q: %v", raw, err)
	}
}

// numbers counts the numbers in v as they are written, in no order.
func numbers(v any) string {
	count := map[string]int{}
	var walk func(any)
	walk = func(v any) {
		switch v := v.(type) {
		case json.Number:
			count[v.String()]++
		case []any:
			for _, e := range v {
				walk(e)
			}
		case map[string]any:
			for _, e := range v {
				walk(e)
			}
		}
	}
	walk(v)
	return fmt.Sprint(count)
}
