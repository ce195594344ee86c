package registry

import (
	"errors"
	"fmt"
	"reflect"
	"regexp/syntax"
	"strings"
	"time"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/builtin"
	"github.com/expr-lang/expr/conf"
	"github.com/expr-lang/expr/file"
)

// Bounds on evaluating all expressions of one mapping for one event. Neither looks at a clock: the
// same event comes to the same end on every machine and every try.
const (
	// workBudget is in units of a byte of text looked at; measured, all of it is up to 80 ms.
	workBudget = 4 << 20
	// memoryBudget is expr's own, for one expression: elements of arrays and objects made.
	memoryBudget = 100_000
	// maxText bounds a text that is made of others, in bytes.
	maxText = 256 << 10
)

// What a loop costs each time around and each node in it, what a value costs beside its bytes, and how
// often a method of a time, or a function of ours, looks at what it is given.
const (
	loopCost  = 24
	nodeCost  = 8
	valueCost = 8
	callCost  = 4
)

// Names that no expression can use itself: the meter puts them in.
const (
	workName  = "$work"
	spendName = "$spend"
)

var (
	errWork = errors.New("it takes more work than an expression may; look at less of the payload, or in fewer loops")
	errText = fmt.Errorf("it makes a text of more than %d bytes", maxText)
)

// work is what is left of an evaluation's budget.
type work struct{ left int }

func (w *work) spend(units int) error {
	if w.left -= units; w.left < 0 {
		return errWork
	}
	return nil
}

// look charges for looking at all of a value, each times over. It stops where the budget ends, so that
// a value that holds one part many times is no trap.
func (w *work) look(v any, each int) error {
	switch v := v.(type) {
	case string:
		return w.spend(each * (valueCost + len(v)))
	case []any:
		for _, item := range v {
			if err := w.look(item, each); err != nil {
				return err
			}
		}
	case map[string]any:
		for name, item := range v {
			if err := w.spend(each * (valueCost + len(name))); err != nil {
				return err
			}
			if err := w.look(item, each); err != nil {
				return err
			}
		}
	case []string:
		for _, item := range v {
			if err := w.spend(each * (valueCost + len(item))); err != nil {
				return err
			}
		}
	case []int:
		return w.spend(each * valueCost * (1 + len(v)))
	}
	return w.spend(each * valueCost)
}

// spendFunction is what the meter puts around a node: $spend($work, value, each, flat) is the value,
// charged for.
var spendFunction = &builtin.Function{
	Name: spendName,
	Func: func(args ...any) (any, error) {
		w, _ := args[0].(*work)
		each, _ := args[2].(int)
		flat, _ := args[3].(int)
		if err := w.spend(flat); err != nil {
			return nil, err
		}
		if each > 0 {
			if err := w.look(args[1], each); err != nil {
				return nil, err
			}
		}
		return args[1], nil
	},
	Validate: func(args []reflect.Type) (reflect.Type, error) { return args[1], nil },
}

// allowed are the functions of expr that expressions may use, and how often each looks at what it is
// given, more or less. Those left out depend on clock or chance (now, keys, values, groupBy), cost more than
// what they are given (uniq), are done here in a bounded way (repeat, replace, join, toJSON), or are of no use.
var allowed = map[string]int{
	"all": 0, "none": 0, "any": 0, "one": 0, "filter": 0, "map": 0, "find": 0, "findIndex": 0, "findLast": 0,
	"findLastIndex": 0, "count": 0, "sum": 1, "sortBy": 20, "reduce": 0,
	"first": 0, "last": 0, "get": 0, "take": 0, "len": 1, "reverse": 1, "concat": 1, "flatten": 2, "sort": 20,
	"abs": 0, "ceil": 0, "floor": 0, "round": 0, "max": 1, "min": 1, "mean": 1, "median": 20,
	"int": 1, "float": 1, "string": 4,
	"trim": 2, "trimPrefix": 1, "trimSuffix": 1, "upper": 2, "lower": 2, "split": 16,
	"indexOf": 1, "lastIndexOf": 1, "hasPrefix": 1, "hasSuffix": 1,
	"date": 10, "duration": 2, "timezone": 0,
}

// language sets which functions there are.
func language(c *conf.Config) {
	for name := range c.Builtins {
		if _, ok := allowed[name]; !ok {
			c.Disabled[name] = true
		}
	}
	c.Functions[spendName] = spendFunction
	expr.Optimize(false)(c) // what the meter puts in stays where it is
	expr.Function("toJSON", toJSON, new(func(any) string))(c)
	expr.Function("repeat", repeat, strings.Repeat)(c)
	expr.Function("replace", replace, strings.ReplaceAll, strings.Replace)(c)
	expr.Function("join", join, new(func([]any) string), new(func([]any, string) string), new(func([]string) string), new(func([]string, string) string))(c)
}

// meter goes through an expression before it is compiled, refuses what cannot be bounded, and has all
// that takes longer for a larger payload charged for.
type meter struct{ refused *file.Error }

func (m *meter) refuse(n ast.Node, format string, args ...any) {
	if m.refused == nil {
		m.refused = &file.Error{Location: n.Location(), Message: fmt.Sprintf(format, args...)}
	}
}

// Visit implements ast.Visitor; the nodes below were visited before.
func (m *meter) Visit(node *ast.Node) {
	switch n := (*node).(type) {
	case *ast.IdentifierNode:
		if strings.HasPrefix(n.Value, "$") {
			m.refuse(n, "unknown name %s", n.Value)
		}
	case *ast.PredicateNode:
		m.charge(&n.Node, 0, loopCost+nodeCost*count(n.Node))
	case *ast.BinaryNode:
		m.binary(n)
	case *ast.BuiltinNode:
		m.builtin(node, n)
	case *ast.CallNode:
		m.call(n)
	}
}

// binary charges for operators that look at all of their operands. Comparing with a number or a short
// text that stands there costs no more than that text.
func (m *meter) binary(n *ast.BinaryNode) {
	switch n.Operator {
	case "matches":
		pattern, ok := n.Right.(*ast.StringNode)
		if !ok {
			m.refuse(n.Right, "the pattern of matches must stand there as a text, so that it can be checked")
			return
		}
		size, err := regexpSize(pattern.Value)
		if err != nil {
			m.refuse(n.Right, "%v", err)
			return
		}
		m.charge(&n.Left, size, 0)
	case "==", "!=", "<", "<=", ">", ">=":
		if !literal(n.Left) && !literal(n.Right) {
			m.charge(&n.Left, 1, 0)
			m.charge(&n.Right, 1, 0)
		}
	case "+", "in", "not in", "contains", "startsWith", "endsWith":
		m.charge(&n.Left, 1, 0)
		m.charge(&n.Right, 1, 0)
	}
}

func (m *meter) builtin(node *ast.Node, n *ast.BuiltinNode) {
	each := allowed[n.Name]
	switch n.Name {
	case "timezone":
		name, ok := n.Arguments[0].(*ast.StringNode)
		if !ok {
			m.refuse(n, `the time zone must stand there as a text, such as timezone("Europe/Paris")`)
			return
		}
		place, err := time.LoadLocation(name.Value)
		if err != nil || name.Value == "Local" {
			m.refuse(name, "there is no time zone %q; write it like Europe/Paris", name.Value)
			return
		}
		constant := &ast.ConstantNode{Value: place}
		constant.SetType(reflect.TypeOf(place))
		ast.Patch(node, constant)
		return
	case "date":
		if _, zoned := n.Arguments[0].(*ast.ConstantNode); !zoned && len(n.Arguments) > 2 {
			m.refuse(n, `write date(timezone("Europe/Paris"), text, layout)`)
			return
		}
	case "trim":
		if len(n.Arguments) > 1 {
			characters, ok := n.Arguments[1].(*ast.StringNode)
			if !ok {
				m.refuse(n.Arguments[1], "the characters to trim must stand there as a text")
				return
			}
			each += len(characters.Value) // each byte is looked for among them
		}
	}
	for i := range n.Arguments {
		m.charge(&n.Arguments[i], each, 0)
	}
}

func (m *meter) call(n *ast.CallNode) {
	if method, ok := n.Callee.(*ast.MemberNode); ok {
		if name, ok := method.Property.(*ast.StringNode); ok && name.Value == "Local" {
			m.refuse(name, `every node has its own local time; write In(timezone("Europe/Paris"))`)
		}
	}
	for i := range n.Arguments {
		m.charge(&n.Arguments[i], callCost, 0)
	}
}

// charge has a node's value charged for when it is there.
func (m *meter) charge(node *ast.Node, each, flat int) {
	switch (*node).(type) {
	case *ast.PredicateNode, *ast.ConstantNode: // what a loop does is charged for as often as it does it
		return
	}
	if each+flat == 0 {
		return
	}
	at := (*node).Location()
	part := func(n ast.Node) ast.Node {
		n.SetLocation(at)
		return n
	}
	ast.Patch(node, &ast.CallNode{Callee: part(&ast.IdentifierNode{Value: spendName}), Arguments: []ast.Node{
		part(&ast.IdentifierNode{Value: workName}), *node, part(&ast.IntegerNode{Value: each}), part(&ast.IntegerNode{Value: flat}),
	}})
}

func literal(n ast.Node) bool {
	switch n.(type) {
	case *ast.StringNode, *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.NilNode:
		return true
	}
	return false
}

// counter counts nodes.
type counter int

func (c *counter) Visit(*ast.Node) { *c++ }

func count(n ast.Node) int {
	var c counter
	ast.Walk(&n, &c)
	return int(c)
}

// maxRegexp bounds a regular expression, in instructions: each may be looked at for each byte.
const maxRegexp = 1000

func regexpSize(pattern string) (int, error) {
	tree, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return 0, err
	}
	program, err := syntax.Compile(tree.Simplify())
	if err != nil {
		return 0, err
	}
	if len(program.Inst) > maxRegexp {
		return 0, fmt.Errorf("the pattern comes to %d instructions, at most %d are allowed; repeat less", len(program.Inst), maxRegexp)
	}
	return len(program.Inst), nil
}
