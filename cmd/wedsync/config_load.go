package main

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/providers/structs"
	"github.com/knadh/koanf/v2"
	"go.yaml.in/yaml/v3"

	"github.com/wedsync/wedsync/actors/event"
)

// defaultConfigFile is read if it is there and no other is named.
const defaultConfigFile = "wedsync.yaml"

// configError is one thing wrong with the configuration.
type configError struct {
	Where string // "wedsync.yaml:12", "WEDSYNC_HTTP_ADDR", "--addr"; "" for a default
	Err   error
}

func (e *configError) Error() string {
	if e.Where == "" {
		return e.Err.Error()
	}
	return e.Where + ": " + e.Err.Error()
}

func (e *configError) Unwrap() error { return e.Err }

// flagValue is a key's value from the command line, and the flag that said so.
type flagValue struct{ key, value, flag string }

// loadConfig reads the file (path; "": wedsync.yaml if there is one), then the environment, then the
// flags; each overrides what came before, and all the defaults. It returns everything that is wrong
// at once, as joined *configErrors.
func loadConfig(path string, environ []string, flags []flagValue) (Config, error) {
	l := &loader{keys: configKeys(), where: map[string]string{}, k: koanf.New(".")}
	l.must(l.k.Load(structs.Provider(Config{}.WithDefaults(), "koanf"), nil))
	if err := l.file(path); err != nil {
		return Config{}, err
	}
	l.environment(environ)
	l.flags(flags)
	if err := errors.Join(l.problems...); err != nil {
		return Config{}, err
	}
	var c Config
	l.must(l.k.UnmarshalWithConf("", &c, koanf.UnmarshalConf{Tag: "koanf"}))
	c.Cluster = c.Cluster.completed() // the defaults were loaded before it was known that there is one
	for _, p := range c.Validate() {
		l.problems = append(l.problems, &configError{l.where[p.Key], p})
	}
	return c, errors.Join(l.problems...)
}

type loader struct {
	keys     map[string]reflect.Type
	where    map[string]string // where each key that was set was set last
	problems []error
	k        *koanf.Koanf
}

// must takes the errors of koanf's own steps, which converted values do not cause.
func (l *loader) must(err error) {
	if err != nil {
		l.problems = append(l.problems, &configError{Err: err})
	}
}

// set takes one key's value into layer.
func (l *loader) set(layer map[string]any, key string, value any, where string) {
	t, ok := l.keys[key]
	if !ok {
		l.problems = append(l.problems, &configError{where, unknownKey(key)})
		return
	}
	v, err := convert(t, value)
	if err != nil {
		l.problems = append(l.problems, &configError{where, &valueError{key, show(t, value), err.Error()}})
		return
	}
	layer[key], l.where[key] = v, where
}

// show returns a value as an error may show it.
func show(t reflect.Type, value any) string {
	if t == reflect.TypeFor[event.Secret]() || t == reflect.TypeFor[[]event.Secret]() {
		return fmt.Sprint(event.SecretOf(""))
	}
	if text, ok := scalarText(value); ok {
		return strconv.Quote(text)
	}
	return "what stands there"
}

func (l *loader) file(path string) error {
	named := path != ""
	if !named {
		path = defaultConfigFile
	}
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) && !named {
		return nil
	}
	if err != nil {
		return fmt.Errorf("configuration file: %w", err)
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	layer := map[string]any{}
	if len(doc.Content) > 0 {
		l.section(path, "", doc.Content[0], layer, map[string]bool{})
	}
	l.must(l.k.Load(confmap.Provider(layer, "."), nil))
	return nil
}

// section reads a YAML mapping; prefix is its key with a dot, or "".
func (l *loader) section(path, prefix string, node *yaml.Node, layer map[string]any, seen map[string]bool) {
	if node.Kind != yaml.MappingNode {
		if node.Tag != "!!null" {
			name := strings.TrimSuffix(prefix, ".")
			or(&name, "the file")
			l.problems = append(l.problems, &configError{
				fmt.Sprintf("%s:%d", path, node.Line), fmt.Errorf("%s is a section: write its keys below it, indented", name),
			})
		}
		return
	}
	for pair := range slices.Chunk(node.Content, 2) {
		key, where := prefix+pair[0].Value, fmt.Sprintf("%s:%d", path, pair[0].Line)
		if seen[key] {
			l.problems = append(l.problems, &configError{where, fmt.Errorf("%s stands there twice", key)})
			continue
		}
		seen[key] = true
		if l.isSection(key) {
			l.section(path, key+".", pair[1], layer, seen)
			continue
		}
		var value any
		if err := pair[1].Decode(&value); err != nil {
			l.problems = append(l.problems, &configError{where, fmt.Errorf("%s: %w", key, err)})
			continue
		}
		if value != nil { // "key:" with nothing behind it leaves the default
			l.set(layer, key, value, where)
		} else if _, ok := l.keys[key]; !ok {
			l.problems = append(l.problems, &configError{where, unknownKey(key)})
		}
	}
}

func (l *loader) isSection(key string) bool {
	for k := range l.keys {
		if strings.HasPrefix(k, key+".") {
			return true
		}
	}
	return false
}

// environment takes WEDSYNC_ variables that name a key and are not empty. Others are left alone: container
// platforms add their own under a service's name.
func (l *loader) environment(environ []string) {
	byName := map[string]string{}
	for key := range l.keys {
		byName[envName(key)] = key
	}
	layer := map[string]any{}
	l.must(l.k.Load(env.Provider(".", env.Opt{
		Prefix:      "WEDSYNC_",
		EnvironFunc: func() []string { return environ },
		TransformFunc: func(name, value string) (string, any) {
			key := byName[name]
			if key == "" || value == "" {
				return "", nil
			}
			l.set(layer, key, value, name)
			return key, layer[key]
		},
	}), nil))
}

func (l *loader) flags(flags []flagValue) {
	layer := map[string]any{}
	for _, f := range flags {
		l.set(layer, f.key, f.value, f.flag)
	}
	l.must(l.k.Load(confmap.Provider(layer, "."), nil))
}
