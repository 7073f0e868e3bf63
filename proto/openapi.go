// Package proto holds the public contract; the code generated from it is under
// gen.
package proto

import _ "embed"

//go:embed gen/openapi/usher.openapi.json
var openAPI string

// OpenAPI returns the OpenAPI 3 document generated from the contract, as JSON.
// Its paths are those that a client calls.
func OpenAPI() []byte { return []byte(openAPI) }
