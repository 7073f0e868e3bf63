package main

import (
	"errors"
	"fmt"

	"github.com/getkin/kin-openapi/openapi3"
)

const (
	scheme    = "bearer"
	failure   = "Error"
	statusRef = "#/components/schemas/Status"
)

// introduce says what the document is about, where the API is and how to be let
// in. The program that serves it puts its own version in.
func introduce(doc *openapi3.T) {
	doc.Info = &openapi3.Info{
		Title:   "Usher",
		Version: "v1",
		Description: "Shows every conversation to the right seat. Every call needs a bearer token. " +
			"Fields are spelled as in the contract; 64-bit integers travel as strings.",
		License: &openapi3.License{Name: "Apache-2.0", URL: "https://www.apache.org/licenses/LICENSE-2.0"},
	}
	doc.Servers = openapi3.Servers{{URL: "/", Description: "The installation that serves this document."}}
	doc.Components.SecuritySchemes = openapi3.SecuritySchemes{scheme: {
		Value: openapi3.NewSecurityScheme().WithType("http").WithScheme("bearer").
			WithDescription("The header Authorization: Bearer, then a token of the installation."),
	}}
	doc.Security = openapi3.SecurityRequirements{openapi3.NewSecurityRequirement().Authenticate(scheme)}
}

// completeOperations gives every operation the one error response, a
// description to every answer, and takes away what only the converter needs.
func completeOperations(doc *openapi3.T) error {
	if doc.Components.Schemas["Status"] == nil {
		return errors.New("no schema Status: errors cannot be described")
	}
	text := "The error, a google.rpc.Status: code, message and details."
	doc.Components.Responses = openapi3.ResponseBodies{failure: {Value: &openapi3.Response{
		Description: &text,
		Content:     openapi3.NewContentWithJSONSchemaRef(openapi3.NewSchemaRef(statusRef, nil)),
	}}}
	for path, item := range doc.Paths.Map() {
		for verb, op := range item.Operations() {
			answer := op.Responses.Value("200")
			if answer == nil || answer.Value == nil {
				return fmt.Errorf("%s %s has no answer", verb, path)
			}
			if d := answer.Value.Description; d == nil || *d == "" {
				success := "A successful response."
				answer.Value.Description = &success
			}
			op.Responses.Set("default", &openapi3.ResponseRef{Ref: "#/components/responses/" + failure})
			if op.RequestBody != nil && op.RequestBody.Value != nil {
				op.RequestBody.Value.Extensions = nil
			}
		}
	}
	return nil
}
