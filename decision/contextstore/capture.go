package contextstore

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/usherhq/usher/internal/fault"
)

// Capture is what a page or a channel knows of somebody: structured data entities
// (engagement attributes), in one form or the other.
type Capture struct {
	CustomerID string // of an authenticated customer
	VisitorID  string // of anybody else
	// SDE is the tree {"visitorinfo": {"customerinfo": {...}, "personalinfo": {...}}}.
	SDE map[string]any
	// Entities are {"type": "ctmrinfo", "info": {...}} and
	// {"type": "personal", "personal": {...}}.
	Entities []map[string]any
	TTL      *time.Duration
}

// captureKind is what an attribute holds.
type captureKind uint8

const (
	scalar captureKind = iota
	date               // {"day": 1, "month": 2, "year": 2031}
	age                // {"age": 41, "day": 1, "month": 2, "year": 1990}, or the number alone
)

// Groups of attributes, as policies name them.
const (
	customerInfo = "visitorinfo.customerinfo."
	personalInfo = "visitorinfo.personalinfo."
)

// captured finds an attribute by its name in lower case; one list of LivePerson's
// has the age with the customer's. ok is false for fields that policies do not
// know, which are not kept.
func captured(group, name string) (attribute string, kind captureKind, ok bool) {
	switch name {
	case "age":
		return personalInfo + name, age, true
	case "lastpaymentdate", "registrationdate":
		return customerInfo + name, date, group == customerInfo
	case "gender", "language", "company":
		return personalInfo + name, scalar, group == personalInfo
	case "ctype", "cstatus", "balance", "customerid", "socialid", "imei", "username", "companysize",
		"companybranch", "accountname", "role", "loginstatus":
		return customerInfo + name, scalar, group == customerInfo
	}
	return "", 0, false
}

// Capture merges attributes into the document of the customer, or else of the
// visitor, in [CaptureNamespace]. It returns the attributes that are known then,
// as policies name them. Fields that policies do not know are not kept; null
// removes an attribute. What is known of a customer is never kept under a
// visitor's id, which others on the same device share.
func (s *Store) Capture(ctx context.Context, account string, c Capture) ([]string, error) {
	var check fault.Check
	change := Change{Key: Key{CaptureNamespace, Customer(c.CustomerID)}, Set: map[string]any{}, TTL: c.TTL}
	if c.CustomerID == "" {
		change.Session = Visitor(c.VisitorID)
		if c.VisitorID == "" {
			check.Add("customer_id", "is missing, as is visitor_id: attributes belong to somebody")
		}
	}
	in := intake{check: &check, change: &change}
	if len(c.SDE) == 0 && len(c.Entities) == 0 {
		check.Add("sde", "is missing, as is entities: there is nothing to keep")
	}
	in.tree(c.SDE)
	for i, e := range c.Entities {
		in.entity(fmt.Sprintf("entities[%d]", i), e)
	}
	checkTTL(&check, "ttl", c.TTL)
	if err := check.Err("the attributes cannot be kept"); err != nil {
		return nil, err
	}
	if err := checkChanges([]Change{change}, true); err != nil {
		return nil, err
	}
	docs, err := s.write(ctx, account, []Change{change})
	if err != nil {
		return nil, err
	}
	var names []string
	for _, name := range slices.Sorted(maps.Keys(docs[0].Properties)) {
		names = append(names, attributeNames(name, docs[0].Properties[name])...)
	}
	return names, nil
}

// attributeNames lists an attribute, or its parts when it is an object.
func attributeNames(name string, value any) []string {
	parts, ok := value.(map[string]any)
	if !ok {
		return []string{CaptureNamespace + "." + name}
	}
	var out []string
	for _, part := range slices.Sorted(maps.Keys(parts)) {
		out = append(out, CaptureNamespace+"."+name+"."+part)
	}
	return out
}

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
	parts, isObject := value.(map[string]any)
	_, isList := value.([]any)
	n, isNumber := value.(float64)
	switch {
	case kind == scalar && !isObject && !isList:
		in.set(attribute, value)
	case kind == scalar:
		in.check.Add(path, "must be a text, a number or a boolean")
	case isObject:
		in.parts(path, attribute, kind, parts)
	case kind == age && isNumber:
		in.set(attribute, map[string]any{"age": n})
	default:
		in.check.Add(path, "must be an object of whole numbers: day, month, year")
	}
}

// parts reads a date or an age; names in any case.
func (in *intake) parts(path, attribute string, kind captureKind, given map[string]any) {
	out := map[string]any{}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		part := strings.ToLower(name)
		if part != "day" && part != "month" && part != "year" && (kind != age || part != "age") {
			continue
		}
		n, ok := given[name].(float64)
		if !ok || n != math.Trunc(n) {
			in.check.Add(path+"."+name, "must be a whole number")
			continue
		}
		out[part] = n
	}
	in.set(attribute, out)
}

// set has the later of two forms win over the earlier.
func (in *intake) set(attribute string, value any) {
	in.change.Set[attribute] = value
	in.change.Remove = slices.DeleteFunc(in.change.Remove, func(name string) bool { return name == attribute })
}
