// Package proto holds the public contract; the code generated from it is under
// gen.
package proto

import _ "embed"

//go:embed gen/openapi/usher.swagger.json
var openAPI string

// OpenAPI returns the Swagger 2.0 document generated from the contract.
func OpenAPI() []byte { return []byte(openAPI) }
