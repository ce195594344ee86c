package main

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/wedsync/wedsync/actors/event"
)

// Size is a number of bytes, written like 512KiB, 10MiB or 2GiB. Zero is written "auto".
type Size int64

const sizeAuto = "auto"

var sizeUnits = []struct {
	name  string
	bytes int64
}{{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}}

func (s Size) String() string {
	if s == 0 {
		return sizeAuto
	}
	for _, u := range sizeUnits {
		if int64(s) >= u.bytes && int64(s)%u.bytes == 0 {
			return strconv.FormatInt(int64(s)/u.bytes, 10) + u.name
		}
	}
	return strconv.FormatInt(int64(s), 10) + "B"
}

func parseSize(text string) (Size, error) {
	if text == sizeAuto {
		return 0, nil
	}
	for _, u := range sizeUnits {
		number, ok := strings.CutSuffix(text, u.name)
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(strings.TrimSpace(number), 10, 64)
		if err != nil || n < 0 || n > (1<<62)/u.bytes {
			break
		}
		return Size(n * u.bytes), nil
	}
	return 0, fmt.Errorf("write it like 512KiB, 10MiB or 2GiB, or auto")
}

// configKeys returns the type of each key that a Config has.
func configKeys() map[string]reflect.Type {
	keys := map[string]reflect.Type{}
	var walk func(prefix string, t reflect.Type)
	walk = func(prefix string, t reflect.Type) {
		for f := range t.Fields() {
			key := prefix + f.Tag.Get("koanf")
			if f.Type.Kind() == reflect.Struct && f.Type != reflect.TypeFor[event.Secret]() {
				walk(key+".", f.Type)
			} else {
				keys[key] = f.Type
			}
		}
	}
	walk("", reflect.TypeFor[Config]())
	return keys
}

// envName returns the environment variable of a key: http.allowPublic is WEDSYNC_HTTP_ALLOW_PUBLIC.
func envName(key string) string {
	var b strings.Builder
	b.WriteString("WEDSYNC_")
	for _, r := range key {
		switch {
		case r == '.':
			b.WriteByte('_')
		case unicode.IsUpper(r):
			b.WriteByte('_')
			b.WriteRune(r)
		default:
			b.WriteRune(unicode.ToUpper(r))
		}
	}
	return b.String()
}

// convert reads a value, as YAML or a text gives it, as one of type t. Its error says what is allowed.
func convert(t reflect.Type, value any) (any, error) {
	if t.Kind() == reflect.Slice {
		return convertList(t, value)
	}
	text, ok := scalarText(value)
	if !ok {
		return nil, fmt.Errorf("is one value, not a list or a section")
	}
	switch t {
	case reflect.TypeFor[time.Duration]():
		d, err := time.ParseDuration(text)
		if err != nil || d < 0 {
			return nil, fmt.Errorf("is no duration; write it like 500ms, 30s or 24h")
		}
		return d, nil
	case reflect.TypeFor[Size]():
		size, err := parseSize(text)
		if err != nil {
			return nil, fmt.Errorf("is no size; %w", err)
		}
		return size, nil
	}
	switch t.Kind() {
	case reflect.Bool:
		if text != "true" && text != "false" {
			return nil, fmt.Errorf("is neither true nor false")
		}
		return text == "true", nil
	case reflect.Int:
		n, err := strconv.Atoi(text)
		if err != nil {
			return nil, fmt.Errorf("is no whole number")
		}
		return n, nil
	default:
		return text, nil
	}
}

// convertList reads a YAML list, or a text with commas.
func convertList(t reflect.Type, value any) (any, error) {
	items, ok := value.([]any)
	if !ok {
		text, ok := scalarText(value)
		if !ok {
			return nil, fmt.Errorf("is a section, not a list")
		}
		for item := range strings.SplitSeq(text, ",") {
			if item = strings.TrimSpace(item); item != "" {
				items = append(items, item)
			}
		}
	}
	kept := t
	if t == reflect.TypeFor[[]event.Secret]() {
		kept = reflect.TypeFor[[]string]() // koanf copies what it keeps, but not what is in a secret: those are made last
	}
	list := reflect.MakeSlice(kept, 0, len(items))
	for _, item := range items {
		v, err := convert(t.Elem(), item)
		if err != nil {
			return nil, fmt.Errorf("has an item, %s, that %w", show(t.Elem(), item), err)
		}
		list = reflect.Append(list, reflect.ValueOf(v))
	}
	return list.Interface(), nil
}

func scalarText(value any) (string, bool) {
	switch v := value.(type) {
	case nil:
		return "", true
	case string:
		return v, true
	case bool, int, int64, uint64, float64, time.Time:
		return fmt.Sprint(v), true
	}
	return "", false
}

// unknownKey says that there is no such key, and which there are.
func unknownKey(key string) error {
	keys := slices.Sorted(maps.Keys(configKeys()))
	if best := nearest(key, keys); best != "" {
		return fmt.Errorf("there is no key %s; did you mean %s?", key, best)
	}
	section, _, nested := strings.Cut(key, ".")
	var beside []string
	for _, k := range keys {
		if s, _, _ := strings.Cut(k, "."); nested && s == section {
			beside = append(beside, k)
		}
	}
	if len(beside) == 0 {
		for _, k := range keys {
			s, _, _ := strings.Cut(k, ".")
			beside = append(beside, s)
		}
		beside = slices.Compact(beside)
	}
	return fmt.Errorf("there is no key %s; there are %s", key, strings.Join(beside, ", "))
}

// nearest returns the candidate that text most likely means, or "" if it is far from all.
func nearest(text string, candidates []string) string {
	best, least := "", max(2, len(text)/4)+1
	for _, c := range candidates {
		if d := distance(strings.ToLower(text), strings.ToLower(c)); d < least {
			best, least = c, d
		}
	}
	return best
}

// distance counts the letters to insert, delete or change to get from a to b (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		corner := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := corner
			if a[i] != b[j] {
				change++
			}
			corner = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
