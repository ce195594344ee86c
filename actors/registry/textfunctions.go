package registry

import (
	"encoding/json"
	"fmt"
	"strings"
)

// The functions here are expr's, which would make a text of any length.

// toJSON writes without indentation, which is quadratic in the depth.
func toJSON(args ...any) (any, error) {
	raw, err := json.Marshal(args[0])
	return string(raw), err
}

func repeat(args ...any) (any, error) {
	s, err := textArg(args, 0)
	if err != nil {
		return nil, err
	}
	n, err := numberArg(args, 1)
	switch {
	case err != nil:
		return nil, err
	case n < 0:
		return nil, fmt.Errorf("a text cannot be repeated %d times", n)
	case len(s) > 0 && n > maxText/len(s):
		return nil, errText
	}
	return strings.Repeat(s, n), nil
}

func replace(args ...any) (any, error) {
	var texts [3]string
	for i := range texts {
		s, err := textArg(args, i)
		if err != nil {
			return nil, err
		}
		texts[i] = s
	}
	s, before, after := texts[0], texts[1], texts[2]
	times := strings.Count(s, before)
	if len(args) > 3 {
		n, err := numberArg(args, 3)
		if err != nil {
			return nil, err
		}
		if n >= 0 {
			times = min(times, n)
		}
	}
	if len(s)+times*(len(after)-len(before)) > maxText {
		return nil, errText
	}
	return strings.Replace(s, before, after, times), nil
}

func join(args ...any) (any, error) {
	glue := ""
	if len(args) > 1 {
		var err error
		if glue, err = textArg(args, 1); err != nil {
			return nil, err
		}
	}
	parts, ok := args[0].([]string)
	if !ok {
		items, ok := args[0].([]any)
		if !ok {
			return nil, fmt.Errorf("%s is no array", kindOf(args[0]))
		}
		parts = make([]string, len(items))
		for i := range items {
			s, err := textArg(items, i)
			if err != nil {
				return nil, err
			}
			parts[i] = s
		}
	}
	size := 0
	for _, s := range parts {
		if size += len(s) + len(glue); size > maxText+len(glue) {
			return nil, errText
		}
	}
	return strings.Join(parts, glue), nil
}

func textArg(args []any, i int) (string, error) {
	s, ok := args[i].(string)
	if !ok {
		return "", fmt.Errorf("%s is no text; string() makes one of it", kindOf(args[i]))
	}
	return s, nil
}

func numberArg(args []any, i int) (int, error) {
	n, ok := args[i].(int)
	if !ok {
		return 0, fmt.Errorf("%s is no whole number; int() makes one of it", kindOf(args[i]))
	}
	return n, nil
}

// kindOf names what a value is, in words of the payload.
func kindOf(v any) string {
	switch v.(type) {
	case nil:
		return "nil"
	case bool:
		return "true or false"
	case int, float64:
		return "a number"
	case string:
		return "a text"
	case []any, []string, []int:
		return "an array"
	case map[string]any:
		return "an object"
	}
	return fmt.Sprintf("a %T", v)
}
