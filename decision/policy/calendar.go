package policy

import (
	"fmt"
	"time"
)

// Calendar is named business hours with holidays, all of it in one zone and by
// the clock on the wall there.
type Calendar struct {
	Zone     string    `json:"zone,omitempty"` // IANA name; UTC when empty
	Hours    []Hours   `json:"hours,omitempty"`
	Holidays []Holiday `json:"holidays,omitempty"`
}

// Hours are open hours on days of the week, as in [Window]: To is not included,
// and hours whose To is not after their From run past midnight and belong to the
// day on which they began. Several Hours of one day add up.
type Hours struct {
	Days []string `json:"days,omitempty"` // MON to SUN; every day when empty
	From string   `json:"from,omitempty"` // HH:MM or HH:MM:SS; 00:00 when empty
	To   string   `json:"to,omitempty"`   // 24:00 when empty
}

// Holiday takes the place of the hours that begin on one day: closed without From
// and To, else open from From to To. A day with a year goes before one without.
type Holiday struct {
	Date string `json:"date"` // 2026-12-25, or 12-25 for every year
	From string `json:"from,omitempty"`
	To   string `json:"to,omitempty"`
}

// maxCalendar bounds the entries of a calendar.
const maxCalendar = 1000

// Validate names every fault with its path, such as hours[0].days[1].
func (c *Calendar) Validate() error {
	var f findings
	compileCalendar(c, &f)
	return f.Err("calendar is not valid")
}

// span is seconds of a day; to may lie in the next one.
type span struct{ from, to int }

// hours is a compiled calendar.
type hours struct {
	zone   *time.Location
	week   [7][]span
	dates  map[int][]span // of one year, by yyyymmdd
	yearly map[int][]span // of every year, by mmdd
}

func compileCalendar(c *Calendar, f *findings) *hours {
	out := &hours{zone: zoneOf(c.Zone, "zone", f), dates: map[int][]span{}, yearly: map[int][]span{}}
	if len(c.Hours)+len(c.Holidays) > maxCalendar {
		f.fail(CodeLimit, "hours", "and holidays have %d entries; the limit is %d", len(c.Hours)+len(c.Holidays), maxCalendar)
	}
	for i := range c.Hours {
		h, path := &c.Hours[i], fmt.Sprintf("hours[%d]", i)
		s := spanOf(h.From, h.To, path, f)
		for d, on := range daysOf(canonicalDays(h.Days), path+".days", f) {
			if on {
				out.week[d] = append(out.week[d], s)
			}
		}
	}
	for i := range c.Holidays {
		out.holiday(&c.Holidays[i], fmt.Sprintf("holidays[%d]", i), f)
	}
	return out
}

func (h *hours) holiday(day *Holiday, path string, f *findings) {
	in, key := h.dates, 0
	if t, err := time.Parse(time.DateOnly, day.Date); err == nil {
		key = dayKey(t)
	} else if t, err = time.Parse(time.DateOnly, "2000-"+day.Date); err == nil {
		in, key = h.yearly, dayKey(t)%10000
	} else {
		f.fail(CodeBadTime, path+".date", "%q is not a day such as 2026-12-25, or 12-25 for every year", day.Date)
		return
	}
	if day.From == "" && day.To == "" {
		in[key] = append(in[key], []span{}...)
		if in[key] == nil {
			in[key] = []span{}
		}
		return
	}
	in[key] = append(in[key], spanOf(day.From, day.To, path, f))
}

// dayKey is the date as yyyymmdd.
func dayKey(t time.Time) int { return t.Year()*10000 + int(t.Month())*100 + t.Day() }

// begun returns the hours that begin on the day of t.
func (h *hours) begun(t time.Time) []span {
	key := dayKey(t)
	if s, ok := h.dates[key]; ok {
		return s
	}
	if s, ok := h.yearly[key%10000]; ok {
		return s
	}
	return h.week[t.Weekday()]
}

// holds reports whether it is open at t.
func (h *hours) holds(t time.Time) bool {
	t = t.In(h.zone)
	second := t.Hour()*3600 + t.Minute()*60 + t.Second()
	for _, s := range h.begun(t) {
		if second >= s.from && second < s.to {
			return true
		}
	}
	// The day before by the calendar, whatever the zone did to the clock in between.
	before := time.Date(t.Year(), t.Month(), t.Day()-1, 12, 0, 0, 0, time.UTC)
	for _, s := range h.begun(before) {
		if second+daySeconds < s.to {
			return true
		}
	}
	return false
}

// spanOf reads hours of a day.
func spanOf(from, to, path string, f *findings) span {
	s := span{from: secondsOf(from, 0, path+".from", f), to: secondsOf(to, daySeconds, path+".to", f)}
	if from != "" && from == to {
		f.fail(CodeBadTime, path+".to", "is the same as from; leave both out for the whole day")
	}
	if s.to <= s.from {
		s.to += daySeconds
	}
	return s
}

// zoneOf reads an IANA zone. Local would depend on the machine.
func zoneOf(name, path string, f *findings) *time.Location {
	if name == "" {
		return time.UTC
	}
	zone, err := time.LoadLocation(name)
	if err != nil || name == "Local" {
		f.fail(CodeBadZone, path, "%q is not an IANA time zone such as Europe/Berlin", name)
		return time.UTC
	}
	return zone
}

// daysOf reads the days of a window; none means all.
func daysOf(names []string, path string, f *findings) (days [7]bool) {
	for i, name := range names {
		d, ok := weekdayOf(name)
		if !ok {
			f.fail(CodeBadTime, fmt.Sprintf("%s[%d]", path, i), "%q is not one of MON, TUE, WED, THU, FRI, SAT, SUN", name)
			continue
		}
		days[d] = true
	}
	if len(names) == 0 {
		days = [7]bool{true, true, true, true, true, true, true}
	}
	return days
}
