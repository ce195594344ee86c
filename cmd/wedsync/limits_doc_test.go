package main

import (
	"fmt"
	"go/ast"
	"go/constant"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/wedsync/wedsync/actors"
	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/analytics"
	"github.com/wedsync/wedsync/edge"
	"github.com/wedsync/wedsync/edge/ingest"
	"github.com/wedsync/wedsync/edge/problem"
	"github.com/wedsync/wedsync/edge/webhook"
	"github.com/wedsync/wedsync/edge/ws"
)

// bounds are what the code says: constants and defaults of configurations by their names, such as
// "ws.maxHeld" and "ws.Config.MaxRecover". Durations are in nanoseconds.
type bounds map[string]int64

// boundsOfCode reads the constants of all packages of the product, and what their configurations default to.
func boundsOfCode(t *testing.T) bounds {
	t.Helper()
	b := bounds{}
	for name, config := range map[string]any{
		"ws.Config": ws.Config{}.WithDefaults(), "webhook.Config": webhook.Config{}.WithDefaults(), "edge.Config": edge.Config{}.WithDefaults(),
		"actors.Config": actors.Config{}.WithDefaults(), "ingest.Limits": ingest.Limits{}.WithDefaults(),
	} {
		v := reflect.ValueOf(config)
		for f := range v.Type().Fields() {
			if value := v.FieldByIndex(f.Index); value.CanInt() {
				b[name+"."+f.Name] = value.Int()
			}
		}
	}
	consts := map[string]ast.Expr{}
	root := filepath.Join("..", "..")
	for _, top := range []string{"actors", "analytics", "cluster", "cmd", "edge"} {
		err := filepath.WalkDir(filepath.Join(root, top), func(path string, d fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			ast.Inspect(file, func(n ast.Node) bool {
				if spec, ok := n.(*ast.ValueSpec); ok && len(spec.Names) == len(spec.Values) {
					for i, name := range spec.Names {
						consts[file.Name.Name+"."+name.Name] = spec.Values[i]
					}
				}
				return true
			})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for name := range consts {
		pkg, _, _ := strings.Cut(name, ".")
		if v := constant.ToInt(valueOf(consts, pkg, consts[name])); v.Kind() == constant.Int {
			b[name], _ = constant.Int64Val(v)
		}
	}
	return b
}

// valueOf evaluates an expression of constants; it is unknown where it is made of anything else.
func valueOf(consts map[string]ast.Expr, pkg string, e ast.Expr) constant.Value {
	switch e := e.(type) {
	case *ast.BasicLit:
		return constant.MakeFromLiteral(e.Value, e.Kind, 0)
	case *ast.ParenExpr:
		return valueOf(consts, pkg, e.X)
	case *ast.CallExpr: // a conversion
		if len(e.Args) == 1 {
			return valueOf(consts, pkg, e.Args[0])
		}
	case *ast.Ident:
		if value, ok := consts[pkg+"."+e.Name]; ok {
			return valueOf(consts, pkg, value)
		}
	case *ast.SelectorExpr:
		of, _ := e.X.(*ast.Ident)
		if of == nil {
			break
		}
		if unit, ok := map[string]time.Duration{"Nanosecond": 1, "Millisecond": time.Millisecond, "Second": time.Second, "Minute": time.Minute, "Hour": time.Hour}[e.Sel.Name]; ok && of.Name == "time" {
			return constant.MakeInt64(int64(unit))
		}
		if value, ok := consts[of.Name+"."+e.Sel.Name]; ok {
			return valueOf(consts, of.Name, value)
		}
	case *ast.BinaryExpr:
		x, y := valueOf(consts, pkg, e.X), valueOf(consts, pkg, e.Y)
		if x.Kind() != constant.Int || y.Kind() != constant.Int {
			break
		}
		switch e.Op {
		case token.SHL:
			n, _ := constant.Uint64Val(y)
			return constant.Shift(x, token.SHL, uint(n))
		case token.MUL, token.ADD, token.SUB:
			return constant.BinaryOp(x, e.Op, y)
		case token.QUO:
			return constant.BinaryOp(x, token.QUO_ASSIGN, y)
		}
	}
	return constant.MakeUnknown()
}

// limitRow is a row of a table of docs/limits.md.
type limitRow struct{ what, most, setting, refusal, metrics, code string }

func limitRows(t *testing.T, text string) []limitRow {
	t.Helper()
	var rows []limitRow
	for line := range strings.Lines(text) {
		cells := strings.Split(strings.TrimSpace(line), "|")
		if !strings.HasPrefix(line, "|") || strings.HasPrefix(cells[1], " ---") || strings.HasPrefix(cells[1], " what") {
			continue
		}
		if len(cells) != 8 {
			t.Fatalf("a row has %d cells: %s", len(cells)-2, line)
		}
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		rows = append(rows, limitRow{cells[1], cells[2], cells[3], cells[4], cells[5], cells[6]})
	}
	return rows
}

// amount reads 20,000, 16 KiB or 24 h.
func amount(text string) (int64, error) {
	digits, unit, _ := strings.Cut(text, " ")
	n, err := strconv.ParseInt(strings.ReplaceAll(digits, ",", ""), 10, 64)
	by, ok := map[string]int64{
		"": 1, "B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "s": int64(time.Second), "h": int64(time.Hour),
	}[unit]
	if err != nil || !ok {
		return 0, fmt.Errorf("%q is no amount", text)
	}
	return n * by, nil
}

var (
	quoted     = regexp.MustCompile("`([^`\n]+)`")
	isMax      = regexp.MustCompile(`^[a-z]+\.([mM]ax[A-Z]\w*|Config\.\w+|Limits\.\w+)$`)
	isLimit    = regexp.MustCompile(`^[a-z]+\.([mM]ax[A-Z]\w*|Config\.(Max|Queue|Per|Refusals|Hold)\w*|Limits\.\w+)$`)
	withStatus = regexp.MustCompile(" ([1-5][0-9][0-9])(,|$)")
	snake      = regexp.MustCompile(`^[a-z]+(_[a-z]+)*$`)
)

func allQuoted(text string) (found []string) {
	for _, m := range quoted.FindAllStringSubmatch(text, -1) {
		found = append(found, m[1])
	}
	return found
}

// registered returns the names of a node's metrics, a recorder's included, whether or not they have a value.
func registered(t *testing.T) map[string]bool {
	t.Helper()
	n := startNode(t, testConfig(t))
	if _, err := analytics.NewRecorder(&analytics.Store{}, nil, analytics.RecorderConfig{Registerer: n.metrics}); err != nil {
		t.Fatal(err)
	}
	descs := make(chan *prometheus.Desc)
	go func() { defer close(descs); n.metrics.Describe(descs) }()
	names := map[string]bool{}
	name := regexp.MustCompile(`fqName: "([^"]+)"`)
	for d := range descs {
		names[name.FindStringSubmatch(d.String())[1]] = true
	}
	return names
}

// Each row of docs/limits.md says what the code does, and no limit of the code is missing there.
func TestLimitsDocument(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile(filepath.Join("..", "..", "docs", "limits.md"))
	if err != nil {
		t.Fatal(err)
	}
	text, code, metrics := string(raw), boundsOfCode(t), registered(t)
	rows := limitRows(t, text)
	if len(rows) < 70 {
		t.Fatalf("%d rows were found", len(rows))
	}
	for _, row := range rows {
		row.check(t, code, metrics)
	}
	named := map[string]bool{}
	for _, name := range allQuoted(text) {
		named[name] = true
		_, key := setting(name)
		if _, there := code[name]; isMax.MatchString(name) && !there && !key && !strings.HasPrefix(name, "limits.") {
			t.Errorf("the document names %s, which is not in the code", name)
		}
		if strings.HasPrefix(name, "wedsync_") && !metrics[strings.Split(name, "{")[0]] {
			t.Errorf("the document names the metric %s, which there is not", name)
		}
	}
	for name, value := range code {
		if isLimit.MatchString(name) && !named[name] {
			t.Errorf("%s, which is %d, is missing in the document", name, value)
		}
	}
	for _, k := range problem.Kinds() {
		if slices.Contains([]int{413, 429, 431, 503}, k.Status) && !named[k.Code] {
			t.Errorf("%s, a %d, is missing in the document", k.Code, k.Status)
		}
	}
}

func (r limitRow) check(t *testing.T, code bounds, metrics map[string]bool) {
	t.Helper()
	most, err := amount(r.most)
	source := allQuoted(r.code)
	if err != nil || len(source) != 1 || code[source[0]] != most {
		t.Errorf("%s: at most %s, and %s is %d (%v)", r.what, r.most, r.code, code[strings.Trim(r.code, "`")], err)
	}
	for _, key := range allQuoted(r.setting) {
		if field, ok := strings.CutPrefix(key, "limits."); ok {
			if !slices.ContainsFunc(reflect.VisibleFields(reflect.TypeFor[event.Limits]()), func(f reflect.StructField) bool {
				return strings.HasPrefix(f.Tag.Get("json"), field+",")
			}) {
				t.Errorf("%s: integrations have no limit %s", r.what, field)
			}
			continue
		}
		value, ok := setting(key)
		if !ok || value != most && value != 0 { // 0 is "auto"
			t.Errorf("%s: at most %s, and %s is %d by default", r.what, r.most, key, value)
		}
	}
	for _, name := range allQuoted(r.metrics) {
		if !metrics[name] {
			t.Errorf("%s: there is no metric %s", r.what, name)
		}
	}
	if r.refusal == "" || r.metrics == "" {
		t.Errorf("%s: says not what happens, or not what counts it", r.what)
	}
	status, _ := strconv.Atoi(append(withStatus.FindStringSubmatch(r.refusal), "", "")[1])
	for _, name := range allQuoted(r.refusal) {
		if !refuses(name, status, code) {
			t.Errorf("%s: there is no %s with the status %d", r.what, name, status)
		}
	}
}

// setting returns the default of a key of the configuration.
func setting(key string) (int64, bool) {
	v := reflect.ValueOf(Config{}.WithDefaults())
	for part := range strings.SplitSeq(key, ".") {
		i := slices.IndexFunc(reflect.VisibleFields(v.Type()), func(f reflect.StructField) bool { return f.Tag.Get("koanf") == part })
		if i < 0 {
			return 0, false
		}
		v = v.Field(i)
	}
	if !v.CanInt() {
		return 0, true
	}
	return v.Int(), true
}

// refuses reports whether name is a problem of that status, a reason of deliveries, or a code of the WebSocket
// protocol.
func refuses(name string, status int, code bounds) bool {
	if number, err := strconv.ParseInt(name, 10, 64); err == nil {
		for symbol, value := range code {
			if value == number && regexp.MustCompile(`^ws\.(Close|Err|Unsubscribe)[A-Z]`).MatchString(symbol) {
				return true
			}
		}
		return false
	}
	if !snake.MatchString(name) {
		return true // such as "recovered: false"
	}
	if slices.ContainsFunc(problem.Kinds(), func(k problem.Kind) bool { return k.Code == name }) {
		return problem.Status(name) == status
	}
	return slices.Contains([]string{event.ReasonExhausted, event.ReasonExpired, event.ReasonExpression, event.ReasonHops, event.ReasonTimeout}, name)
}
