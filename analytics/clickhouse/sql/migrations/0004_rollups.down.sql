{{drop "rollup_progress"}}
{{range grains}}
{{dropView (print "rollup_" .)}}
{{drop (print "rollup_" . "_rows")}}
{{end}}
