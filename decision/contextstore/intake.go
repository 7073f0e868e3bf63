package contextstore

import (
	"errors"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/usherhq/usher/internal/fault"
)

// intake reads both forms into one change.
type intake struct {
	check  *fault.Check
	change *Change
}

// tree reads {"visitorinfo": {...}}.
func (in *intake) tree(sde map[string]any) {
	for _, name := range slices.Sorted(maps.Keys(sde)) {
		path := "sde." + name
		groups, ok := in.object(path, sde[name])
		if !ok || !strings.EqualFold(name, "visitorinfo") {
			continue // other entities are no attributes of policies
		}
		for _, group := range slices.Sorted(maps.Keys(groups)) {
			switch strings.ToLower(group) {
			case "customerinfo":
				in.group(path+"."+group, customerInfo, groups[group])
			case "personalinfo":
				in.group(path+"."+group, personalInfo, groups[group])
			}
		}
	}
}

// entity reads {"type": ..., ...}.
func (in *intake) entity(path string, e map[string]any) {
	kind, _ := e["type"].(string)
	switch strings.ToLower(kind) {
	case "":
		in.check.Add(path+".type", "is missing")
	case "ctmrinfo":
		in.member(path, "info", customerInfo, e)
	case "personal":
		in.member(path, "personal", personalInfo, e)
	}
}

func (in *intake) member(path, name, group string, e map[string]any) {
	value, ok := e[name]
	if !ok {
		in.check.Add(path+"."+name, "is missing")
		return
	}
	in.group(path+"."+name, group, value)
}

func (in *intake) object(path string, value any) (map[string]any, bool) {
	m, ok := value.(map[string]any)
	if !ok {
		in.check.Add(path, "must be an object")
	}
	return m, ok
}

func (in *intake) group(path, group string, value any) {
	fields, ok := in.object(path, value)
	if !ok {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		attribute, kind, ok := captured(group, strings.ToLower(name))
		if ok {
			in.field(path+"."+name, attribute, kind, fields[name])
		}
	}
}

func (in *intake) field(path, attribute string, kind captureKind, value any) {
	if value == nil {
		in.change.Remove = append(in.change.Remove, attribute)
		delete(in.change.Set, attribute)
		return
	}
	kept, parts := any(nil), map[string]any(nil)
	want := ""
	switch kind {
	case words:
		kept, want = textOf(value)
	case amount:
		kept, want = numberOf(value)
	case scalar:
		kept, want = scalarOf(value)
	case gender:
		kept, want = genderOf(value)
	case date, age:
		parts, want = partsOf(kind, value)
	}
	switch {
	case want != "":
		in.check.Add(path, "must be %s", want)
	case parts != nil:
		in.parts(path, attribute, kind, parts)
	default:
		in.set(attribute, kept)
	}
}

// parts reads a date or an age; names in any case.
func (in *intake) parts(path, attribute string, kind captureKind, given map[string]any) {
	out := map[string]any{}
	var check fault.Check
	for _, name := range slices.Sorted(maps.Keys(given)) {
		part := strings.ToLower(name)
		limits, ok := partLimits(kind, part)
		if !ok {
			continue
		}
		n, want := numberOf(given[name])
		if want != "" || n != math.Trunc(n) || n < limits[0] || n > limits[1] {
			check.Add(path+"."+name, "must be a whole number from %v to %v", limits[0], limits[1])
			continue
		}
		out[part] = n
	}
	if check.Err("") == nil {
		checkDate(&check, path, kind, out)
	}
	if e, bad := errors.AsType[*fault.Error](check.Err("")); bad {
		for _, v := range e.Violations {
			in.check.Add(v.Field, "%s", v.Description)
		}
		return
	}
	in.set(attribute, out)
}

// partLimits are the least and the greatest value of a part.
func partLimits(kind captureKind, part string) (limits [2]float64, ok bool) {
	switch part {
	case "day":
		return [2]float64{1, 31}, true
	case "month":
		return [2]float64{1, 12}, true
	case "year":
		return [2]float64{1, 9999}, true
	case "age":
		return [2]float64{0, 150}, kind == age
	}
	return limits, false
}

// checkDate wants a day that is in the calendar, and of a date all of it.
func checkDate(c *fault.Check, path string, kind captureKind, parts map[string]any) {
	day, hasDay := parts["day"].(float64)
	month, hasMonth := parts["month"].(float64)
	year, hasYear := parts["year"].(float64)
	switch {
	case kind == date && !(hasDay && hasMonth && hasYear):
		c.Add(path, "must have day, month and year")
	case len(parts) == 0:
		c.Add(path, "must have age, or some of day, month and year")
	case hasDay && hasMonth:
		if !hasYear {
			year = 2000 // had its 29th of February
		}
		if t := time.Date(int(year), time.Month(month), int(day), 0, 0, 0, 0, time.UTC); t.Day() != int(day) {
			c.Add(path, "is no day of the calendar")
		}
	}
}

// partsOf takes an object; of an age the number alone is enough.
func partsOf(kind captureKind, value any) (parts map[string]any, want string) {
	if parts, ok := value.(map[string]any); ok {
		return parts, ""
	}
	if _, isNumber := value.(float64); isNumber && kind == age {
		return map[string]any{"age": value}, ""
	}
	return nil, "an object of whole numbers: day, month, year"
}

// textOf takes a text. Ids come as numbers from some pages, and policies compare
// them as texts.
func textOf(value any) (text any, want string) {
	switch v := value.(type) {
	case string:
		return v, ""
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64), ""
	}
	return nil, "a text"
}

// numberOf takes a number, or a text that is one, as pages that read it from a
// form send it.
func numberOf(value any) (n float64, want string) {
	switch v := value.(type) {
	case float64:
		return v, ""
	case string:
		n, err := strconv.ParseFloat(strings.TrimSpace(v), 64)
		if err == nil && !math.IsNaN(n) && !math.IsInf(n, 0) {
			return n, ""
		}
	}
	return 0, "a number"
}

func scalarOf(value any) (any, string) {
	switch value.(type) {
	case string, float64, bool:
		return value, ""
	}
	return nil, "a text, a number or a boolean"
}

func genderOf(value any) (any, string) {
	text, _ := value.(string)
	switch text = strings.ToUpper(text); text {
	case "MALE", "FEMALE", "OTHER":
		return text, ""
	}
	return nil, "MALE, FEMALE or OTHER"
}

// set has the later of two forms win over the earlier.
func (in *intake) set(attribute string, value any) {
	in.change.Set[attribute] = value
	in.change.Remove = slices.DeleteFunc(in.change.Remove, func(name string) bool { return name == attribute })
}
