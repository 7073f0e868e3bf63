package policy

import (
	"fmt"
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // a time zone must mean the same on every machine

	"github.com/usherhq/usher/internal/fault"
)

// Window is a recurring time of day: from From (included) to To (excluded) in
// Zone on Days. A window whose To is not after its From runs past midnight and
// belongs to the day on which it began. Empty From and To mean the whole day,
// empty Days every day, empty Zone UTC.
type Window struct {
	From string   `json:"from,omitempty"` // HH:MM or HH:MM:SS
	To   string   `json:"to,omitempty"`
	Zone string   `json:"zone,omitempty"` // IANA name
	Days []string `json:"days,omitempty"` // MON, TUE, WED, THU, FRI, SAT, SUN
	// Attribute names a string attribute with an RFC 3339 time to look at
	// instead of the decision's own.
	Attribute string `json:"attribute,omitempty"`
}

func weekdayName(d time.Weekday) string {
	return [...]string{"SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"}[d]
}

func weekdayOf(name string) (time.Weekday, bool) {
	for d := time.Sunday; d <= time.Saturday; d++ {
		if weekdayName(d) == name {
			return d, true
		}
	}
	return 0, false
}

const daySeconds = 24 * 60 * 60

// clock is a compiled window.
type clock struct {
	from, to int // seconds of the day; to may be daySeconds
	zone     *time.Location
	days     [7]bool
}

func compileWindow(w *Window, path string, check *fault.Check) clock {
	c := clock{to: daySeconds, zone: time.UTC}
	c.from = secondsOf(w.From, 0, path+".from", check)
	c.to = secondsOf(w.To, daySeconds, path+".to", check)
	if w.From != "" && w.From == w.To {
		check.Add(path+".to", "is the same as from; leave both out for the whole day")
	}
	if w.Zone != "" {
		// Local would depend on the machine.
		zone, err := time.LoadLocation(w.Zone)
		if err != nil || w.Zone == "Local" {
			check.Add(path+".zone", "%q is not an IANA time zone such as Europe/Berlin", w.Zone)
		} else {
			c.zone = zone
		}
	}
	for i, name := range w.Days {
		d, ok := weekdayOf(name)
		if !ok {
			check.Add(fmt.Sprintf("%s.days[%d]", path, i), "%q is not one of MON, TUE, WED, THU, FRI, SAT, SUN", name)
			continue
		}
		c.days[d] = true
	}
	if len(w.Days) == 0 {
		c.days = [7]bool{true, true, true, true, true, true, true}
	}
	return c
}

func secondsOf(s string, missing int, path string, check *fault.Check) int {
	if s == "" {
		return missing
	}
	if s == "24:00" || s == "24:00:00" {
		return daySeconds
	}
	for _, layout := range []string{"15:04", time.TimeOnly} {
		// Parse alone would take 9:00 and 09:00:00.5 too.
		if t, err := time.Parse(layout, s); err == nil && len(s) == len(layout) {
			return t.Hour()*3600 + t.Minute()*60 + t.Second()
		}
	}
	check.Add(path, "%q is not a time of day such as 09:00", s)
	return missing
}

// holds reports whether t lies in the window.
func (c *clock) holds(t time.Time) bool {
	t = t.In(c.zone)
	second := t.Hour()*3600 + t.Minute()*60 + t.Second()
	day := t.Weekday()
	if c.from < c.to {
		return c.days[day] && second >= c.from && second < c.to
	}
	yesterday := (day + 6) % 7
	return c.days[day] && second >= c.from || c.days[yesterday] && second < c.to
}

// String spells the window for traces.
func (w *Window) String() string {
	parts := []string{}
	if len(w.Days) > 0 {
		parts = append(parts, strings.Join(w.Days, ","))
	}
	parts = append(parts, orElse(w.From, "00:00")+"-"+orElse(w.To, "24:00"), orElse(w.Zone, "UTC"))
	return strings.Join(parts, " ")
}

// canonicalDays upper-cases, shortens to three letters, removes repetitions.
func canonicalDays(days []string) []string {
	out := make([]string, 0, len(days))
	for _, d := range days {
		d = strings.ToUpper(strings.TrimSpace(d))
		for weekday := time.Sunday; weekday <= time.Saturday; weekday++ {
			if d == strings.ToUpper(weekday.String()) {
				d = weekdayName(weekday)
			}
		}
		if !slices.Contains(out, d) {
			out = append(out, d)
		}
	}
	return out
}

func orElse(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
