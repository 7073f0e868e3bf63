package main

import (
	"encoding/json"
	"fmt"

	"github.com/usherhq/usher/pipeline/configlog"
)

// secretHeaders is where the document of a function keeps what a system that it
// calls knows it by.
const secretHeaders = "secret_headers"

// withoutSecrets is a document that may lie about in files.
func withoutSecrets(kind string, value []byte) ([]byte, error) {
	return changeHTTP(kind, value, func(http map[string]json.RawMessage) bool {
		_, has := http[secretHeaders]
		delete(http, secretHeaders)
		return has
	})
}

// withSecrets gives a document without secrets those of the one that it replaces.
func withSecrets(kind string, value, current []byte) ([]byte, error) {
	var secrets json.RawMessage
	_, err := changeHTTP(kind, current, func(http map[string]json.RawMessage) bool {
		secrets = http[secretHeaders]
		return false
	})
	if err != nil || secrets == nil {
		return value, err
	}
	return changeHTTP(kind, value, func(http map[string]json.RawMessage) bool {
		if _, has := http[secretHeaders]; has {
			return false
		}
		http[secretHeaders] = secrets
		return true
	})
}

// changeHTTP lets change see the http object of a function's document and writes
// the document anew when that says so.
func changeHTTP(kind string, value []byte, change func(map[string]json.RawMessage) bool) ([]byte, error) {
	if kind != configlog.KindFunction {
		return value, nil
	}
	var document, http map[string]json.RawMessage
	if err := json.Unmarshal(value, &document); err != nil {
		return nil, fmt.Errorf("read function: %w", err)
	}
	if document["http"] == nil {
		return value, nil
	}
	if err := json.Unmarshal(document["http"], &http); err != nil {
		return nil, fmt.Errorf("read function: %w", err)
	}
	if http == nil || !change(http) {
		return value, nil
	}
	var err error
	if document["http"], err = json.Marshal(http); err != nil {
		return nil, fmt.Errorf("write function: %w", err)
	}
	return json.Marshal(document)
}
