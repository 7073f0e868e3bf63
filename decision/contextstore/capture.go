package contextstore

import (
	"context"
	"fmt"
	"maps"
	"slices"
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

// captureKind is what an attribute holds, as policies are told of it: see
// policy.BuiltinAttributes.
type captureKind uint8

const (
	words  captureKind = iota // a text, or the number that an id may be, kept as text
	amount                    // a number, or a text that is one
	scalar                    // a text, a number or a boolean
	gender                    // MALE, FEMALE or OTHER
	date                      // {"day": 1, "month": 2, "year": 2031}
	age                       // {"age": 41, "day": 1, "month": 2, "year": 1990}, or the number alone
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
	case "gender":
		return personalInfo + name, gender, group == personalInfo
	case "language", "company":
		return personalInfo + name, words, group == personalInfo
	case "balance":
		return customerInfo + name, amount, group == customerInfo
	case "companysize", "loginstatus":
		return customerInfo + name, scalar, group == customerInfo
	case "ctype", "cstatus", "customerid", "socialid", "imei", "username", "companybranch", "accountname", "role":
		return customerInfo + name, words, group == customerInfo
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
