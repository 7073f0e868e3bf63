// Command openapi turns what protoc-gen-openapiv2 writes into the OpenAPI 3
// document that the product serves.
//
// The plugin speaks Swagger 2.0 and writes a resource name as one parameter,
// /v1/{name_5}:enable, whose value holds slashes. No generated client can fill
// that in: it escapes them. Here each such parameter becomes the path that it
// stands for, /v1/accounts/{account}/policies/{policy}:enable.
//
// Usage: openapi FOLDER, with usher.swagger.json in it. The Swagger document is
// replaced by usher.openapi.json.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/getkin/kin-openapi/openapi2"
	"github.com/getkin/kin-openapi/openapi2conv"
	"github.com/getkin/kin-openapi/openapi3"
)

const (
	input  = "usher.swagger.json"
	output = "usher.openapi.json"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: openapi FOLDER")
		os.Exit(2)
	}
	if err := run(context.Background(), os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "openapi:", err)
		os.Exit(1)
	}
}

// run replaces the Swagger document of a folder. Nothing is written unless the
// result is valid.
func run(ctx context.Context, folder string) error {
	swagger, err := os.ReadFile(filepath.Join(folder, input))
	if err != nil {
		return fmt.Errorf("read Swagger document: %w", err)
	}
	document, err := convert(ctx, swagger)
	if err != nil {
		return fmt.Errorf("convert %s: %w", input, err)
	}
	if err := os.WriteFile(filepath.Join(folder, output), document, 0o644); err != nil { //nolint:gosec // a source file, for everybody to read
		return fmt.Errorf("write OpenAPI document: %w", err)
	}
	// Two descriptions of one API would be one too many.
	if err := os.Remove(filepath.Join(folder, input)); err != nil {
		return fmt.Errorf("remove Swagger document: %w", err)
	}
	return nil
}

// convert returns the OpenAPI 3 document of a Swagger 2.0 one, as indented JSON.
// The same input gives the same bytes.
func convert(ctx context.Context, swagger []byte) ([]byte, error) {
	old, err := parse(swagger)
	if err != nil {
		return nil, err
	}
	doc, err := openapi2conv.ToV3(old)
	if err != nil {
		return nil, fmt.Errorf("move to version 3: %w", err)
	}
	if err := errors.Join(expandPaths(doc), completeOperations(doc)); err != nil {
		return nil, err
	}
	introduce(doc)
	out, err := json.MarshalIndent(doc, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write: %w", err)
	}
	if err := check(ctx, out); err != nil {
		return nil, err
	}
	return append(out, '\n'), nil
}

// parse reads a Swagger document without losing what stands beside references.
func parse(swagger []byte) (*openapi2.T, error) {
	var tree any
	if err := json.Unmarshal(swagger, &tree); err != nil {
		return nil, fmt.Errorf("parse: %w", err)
	}
	wrapReferences(tree)
	text, err := json.Marshal(tree)
	if err != nil {
		return nil, fmt.Errorf("parse: %w", err)
	}
	var doc openapi2.T
	if err := json.Unmarshal(text, &doc); err != nil {
		return nil, fmt.Errorf("parse: %w", err)
	}
	return &doc, nil
}

// check reads a document as its users will, references and all.
func check(ctx context.Context, document []byte) error {
	doc, err := openapi3.NewLoader().LoadFromData(document)
	if err != nil {
		return fmt.Errorf("read the result: %w", err)
	}
	if err := doc.Validate(ctx); err != nil {
		return fmt.Errorf("the result is not valid OpenAPI: %w", err)
	}
	return nil
}
