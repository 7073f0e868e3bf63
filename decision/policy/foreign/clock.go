package foreign

import (
	"slices"
	"strings"
	"time"

	"github.com/usherhq/usher/decision/policy"
)

// call translates isTimeRange and isDateRange.
func (t *translator) call(n *node) doc {
	switch strings.ToLower(n.name) {
	case "istimerange":
		return t.timeRange(n)
	case "isdaterange":
		return t.dateRange(n)
	}
	return t.fail(n, CodeUnknownFunction, "%s is none of isTimeRange, isDateRange, sqrt; Usher's functions are attributes, such as custom.%s", n.name, n.name)
}

// ranged takes the arguments that both functions share: from, to, zone, days.
func (t *translator) ranged(n *node) (from, to string, out doc, ok bool) {
	var texts []string
	var days []any
	for i, arg := range n.args {
		switch text, isText := arg.value.(string); {
		case arg.kind == nodeLiteral && isText && i < 3:
			texts = append(texts, text)
		case arg.kind == nodeLiteral && isText:
			days = append(days, weekdays(text)...)
		case arg.kind == nodeList && i >= 2:
			for _, day := range arg.args {
				text, _ := day.value.(string)
				days = append(days, weekdays(text)...)
			}
		default:
			t.fail(arg, CodeNotSayable, "%s takes constants in quotes: from, to, zone and a list of days", n.name)
			return "", "", nil, false
		}
	}
	if len(texts) < 2 {
		t.fail(n, CodeNotSayable, "%s needs from, to and a zone, such as 'America/New_York'", n.name)
		return "", "", nil, false
	}
	out = doc{}
	if len(texts) == 2 || texts[2] == "" {
		t.warn(n, policy.CodeBadZone, "%s has no zone and is read in UTC; name one, such as 'America/New_York'", n.name)
	}
	if len(texts) > 2 && texts[2] != "" {
		out["zone"] = texts[2]
		if _, err := time.LoadLocation(texts[2]); err != nil {
			t.fail(n.args[2], policy.CodeBadZone, "%q is not a time zone such as America/New_York", texts[2])
		}
	}
	if last := n.args[len(n.args)-1]; last.kind == nodeList && len(last.args) == 0 {
		t.warn(last, CodeConstant, "the list of days is empty: every day counts")
	}
	if len(days) > 0 {
		out["days"] = days
		for _, day := range days {
			if text, _ := day.(string); !slices.Contains(dayNames(), text) {
				t.fail(n, policy.CodeBadTime, "%q is not a day of the week such as MON", text)
			}
		}
	}
	return strings.TrimSpace(texts[0]), strings.TrimSpace(texts[1]), out, true
}

// dayNames are the days of the week as Usher spells them.
func dayNames() []string { return []string{"MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN"} }

// weekdays reads MON, Monday, or a span such as MON-FRI.
func weekdays(text string) []any {
	names := dayNames()
	position := func(s string) int {
		s = strings.ToUpper(strings.TrimSpace(s))
		for i, name := range names {
			if s == name || len(s) > 3 && strings.HasPrefix(s, name) {
				return i
			}
		}
		return -1
	}
	first, last, span := strings.Cut(text, "-")
	a, b := position(first), position(last)
	if !span || a < 0 || b < 0 {
		if a < 0 || span {
			return []any{text} // the policy's own check names it
		}
		return []any{names[a]}
	}
	var out []any
	for i := a; ; i = (i + 1) % len(names) {
		out = append(out, names[i])
		if i == b {
			return out
		}
	}
}

func (t *translator) timeRange(n *node) doc {
	fromText, toText, window, ok := t.ranged(n)
	if !ok {
		return unread()
	}
	from, okFrom := timeOfDay(fromText)
	to, okTo := timeOfDay(toText)
	switch {
	case !okFrom:
		t.fail(n.args[0], policy.CodeBadTime, "%q is not a time of day such as '09:00:00'", fromText)
		if okTo {
			return unread()
		}
		fallthrough
	case !okTo:
		return t.fail(n.args[1], policy.CodeBadTime, "%q is not a time of day such as '17:30:00'", toText)
	case to == "23:59:59":
		to = "24:00" // the last second of the day belongs to it
	}
	window["from"], window["to"] = from, to
	if to <= from {
		t.warn(n, CodePastMidnight, "%s('%s','%s') is taken to run past midnight into the next day", n.name, fromText, toText)
	}
	return doc{"time": window}
}

// timeOfDay spells a time as Usher does; seconds only when there are any.
func timeOfDay(text string) (string, bool) {
	if text == "24:00" || text == "24:00:00" {
		return "24:00", true
	}
	for _, layout := range []string{"15:04:05", "15:04"} {
		if at, err := time.Parse(layout, text); err == nil && at.Nanosecond() == 0 {
			return strings.TrimSuffix(at.Format("15:04:05"), ":00"), true
		}
	}
	return "", false
}

func (t *translator) dateRange(n *node) doc {
	fromText, toText, window, ok := t.ranged(n)
	if !ok {
		return unread()
	}
	from, okFrom := date(fromText)
	to, okTo := date(toText)
	switch {
	case !okFrom:
		t.fail(n.args[0], CodeBadDate, "%q is not a date such as '12/24/2026', month first", fromText)
		if okTo {
			return unread()
		}
		fallthrough
	case !okTo:
		return t.fail(n.args[1], CodeBadDate, "%q is not a date such as '12/26/2026', month first", toText)
	case to < from:
		return t.fail(n, CodeBadDate, "the range ends before it begins")
	}
	window["from"], window["to"] = from, to
	return doc{"date": window}
}

// date reads month/day/year; a year of two digits is one of this century.
func date(text string) (string, bool) {
	for _, layout := range []string{"1/2/2006", time.DateOnly} {
		if at, err := time.Parse(layout, text); err == nil {
			return at.Format(time.DateOnly), true
		}
	}
	if at, err := time.Parse("1/2/06", text); err == nil {
		// Go takes 69 to 99 for the last century; nobody routes by that one.
		if at.Year() < 2000 {
			at = at.AddDate(100, 0, 0)
		}
		return at.Format(time.DateOnly), true
	}
	return "", false
}
