package main

// wrapReferences moves what stands beside a reference to where version 3 reads
// it: {"$ref": r, "description": d} becomes {"allOf": [{"$ref": r}],
// "description": d}. A reader drops the neighbours of a bare reference.
func wrapReferences(node any) {
	switch n := node.(type) {
	case []any:
		for _, v := range n {
			wrapReferences(v)
		}
	case map[string]any:
		for _, v := range n {
			wrapReferences(v)
		}
		ref, isRef := n["$ref"].(string)
		if !isRef {
			return
		}
		delete(n, "type") // the schema it refers to has it
		if len(n) > 1 {
			delete(n, "$ref")
			n["allOf"] = []any{map[string]any{"$ref": ref}}
		}
	}
}
