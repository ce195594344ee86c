package registry

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // timezone() knows the same places on every machine

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/types"
	"github.com/expr-lang/expr/vm"

	"github.com/wedsync/wedsync/actors/event"
)

// ExpressionError says what is wrong with an expression of a mapping, and where in it.
type ExpressionError struct {
	Mapping string
	Field   string // "when", or "fields." and the payload's field
	Line    int    // from 1
	Column  int    // of the line, in characters from 1
	Text    string // the piece of the expression that is at fault, at most 80 characters of it
	Reason  string // at most 300 characters and a sign that there were more
}

func (e *ExpressionError) Error() string {
	return fmt.Sprintf("mapping %s: %s: %s", e.Mapping, e.Field, e.Where())
}

// Where says what is wrong and where, without the names of the mapping and the field.
func (e *ExpressionError) Where() string {
	return fmt.Sprintf("line %d, column %d, at %q: %s", e.Line, e.Column, e.Text, e.Reason)
}

// maxNodes bounds one expression's syntax tree. Outside of loops, which are charged for, each node is
// evaluated once at most.
const maxNodes = 500

// maxReason bounds what is told of an error, in characters.
const maxReason = 300

// expression is one of a mapping's, compiled. It is immutable.
type expression struct {
	mapping, field string
	source         string
	program        *vm.Program
}

// formulas are a mapping's expressions, compiled.
type formulas struct {
	when   *expression // nil: always
	fields []*expression
	names  []string // of the payload fields that fields make
}

// compileMapping compiles a mapping's expressions; nil if it has none. It fails with an *ExpressionError.
func compileMapping(m *event.Mapping, captures []captured) (*formulas, error) {
	if m.When == "" && len(m.Fields) == 0 {
		return nil, nil
	}
	vars := types.Map{}
	for _, c := range captures {
		vars[c.name] = types.String
	}
	env := expr.Env(types.Map{
		"type": types.String, "channel": types.String, "payload": types.TypeOf(map[string]any{}),
		"occurredAt": types.TypeOf(time.Time{}), "source": types.String, "weddingId": types.String,
		"vars": vars, workName: types.Any,
	})
	f := &formulas{}
	var err error
	if m.When != "" {
		if f.when, err = compileExpression(m.ID, "when", m.When, env); err != nil {
			return nil, err
		}
		if kind := f.when.program.Node().Type().Kind(); kind != reflect.Bool && kind != reflect.Interface {
			return nil, f.when.failure(fmt.Errorf("it comes to a %s; a condition is true or false", kind))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(m.Fields)) {
		e, err := compileExpression(m.ID, "fields."+name, m.Fields[name], env)
		if err != nil {
			return nil, err
		}
		f.fields, f.names = append(f.fields, e), append(f.names, name)
	}
	return f, nil
}

func compileExpression(mapping, field, source string, env expr.Option) (e *expression, err error) {
	e = &expression{mapping: mapping, field: field, source: source}
	defer func() {
		if broke := recover(); broke != nil { // the compiler's own mistake, whatever it was given
			err = e.fail(file.Location{}, fmt.Sprintf("it cannot be compiled: %.200v", broke))
		}
	}()
	m := &meter{}
	e.program, err = expr.Compile(source, env, language, expr.MaxNodes(maxNodes), expr.Patch(m))
	switch {
	case m.refused != nil:
		return nil, e.fail(m.refused.Location, m.refused.Message)
	case err != nil:
		return nil, e.failure(err)
	}
	return e, nil
}

// run evaluates the expression; it fails with an *ExpressionError.
func (e *expression) run(env map[string]any) (any, error) {
	machine := vm.VM{MemoryBudget: memoryBudget}
	out, err := machine.Run(e.program, env)
	if err != nil {
		return nil, e.failure(err)
	}
	return out, nil
}

// failure words what expr says of compiling or running.
func (e *expression) failure(err error) error {
	var at *file.Error
	if !errors.As(err, &at) {
		return e.fail(file.Location{To: len(e.source)}, err.Error()) // of the expression as a whole
	}
	return e.fail(at.Location, at.Message)
}

// fail makes the error of a place, which expr gives in characters.
func (e *expression) fail(at file.Location, reason string) *ExpressionError {
	runes := []rune(e.source)
	from := min(max(at.From, 0), len(runes))
	to := min(max(at.To, from+1), len(runes), from+80)
	before := string(runes[:from])
	line := before[strings.LastIndexByte(before, '\n')+1:]
	if said := []rune(reason); len(said) > maxReason {
		reason = string(said[:maxReason]) + "…" // it may quote the payload
	}
	return &ExpressionError{
		Mapping: e.mapping, Field: e.field, Line: strings.Count(before, "\n") + 1, Column: len([]rune(line)) + 1,
		Text: string(runes[from:max(from, to)]), Reason: reason,
	}
}
