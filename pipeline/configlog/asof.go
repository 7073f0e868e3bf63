package configlog

import "slices"

// AsOf returns a state that holds one account as it was: of each of its resources
// the last version that counts says did, and the history up to there. The other
// accounts are not in it, nor are drafts. Revisions stay what they were.
func (st *State) AsOf(account string, counts func(v *Version) bool) *State {
	out := &State{revision: st.revision, kinds: map[kindKey]kindState{}}
	for key, whole := range st.kinds {
		if key.account != account {
			continue
		}
		k := kindState{resources: map[string]Resource{}}
		history := slices.Clip(whole.history)
		for i := range history {
			if v := history[i]; counts(&v) {
				k.put(v.Resource, v.Deleted)
			}
		}
		if len(k.history) > 0 {
			k.history = slices.Clip(k.history)
			out.kinds[key] = k
		}
	}
	return out
}
