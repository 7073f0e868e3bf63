package config

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// EnvPrefix starts the name of every environment variable that is read.
const EnvPrefix = "USHER_"

// Key is one thing that can be set.
type Key struct {
	Path   string // as in the file: clickhouse.http_addr
	Env    string // USHER_CLICKHOUSE_HTTP_ADDR
	Flag   string // clickhouse-http-addr; empty when only --set reaches it
	Doc    string
	Secret bool
	Type   reflect.Type
	index  []int
}

// Keys lists all keys in the order of the struct.
func Keys() []Key {
	return walk(reflect.TypeFor[Config](), "", nil)
}

func walk(t reflect.Type, prefix string, index []int) []Key {
	var keys []Key
	for i := range t.NumField() {
		f := t.Field(i)
		path := prefix + f.Tag.Get("koanf")
		at := append(slices.Clone(index), i)
		if f.Type.Kind() == reflect.Struct {
			keys = append(keys, walk(f.Type, path+".", at)...)
			continue
		}
		keys = append(keys, Key{
			Path: path, Env: EnvPrefix + strings.ToUpper(strings.ReplaceAll(path, ".", "_")),
			Flag: f.Tag.Get("flag"), Doc: f.Tag.Get("doc"), Secret: f.Tag.Get("secret") == "true",
			Type: f.Type, index: at,
		})
	}
	return keys
}

// Text is the key's value in c, as it is written in a flag.
func (k Key) Text(c *Config) string {
	v := reflect.ValueOf(c).Elem().FieldByIndex(k.index)
	if list, ok := reflect.TypeAssert[[]string](v); ok {
		return strings.Join(list, ",")
	}
	return fmt.Sprint(v.Interface())
}

// set gives the key the value, which comes typed from a file or as text from
// anywhere else.
func (k Key) set(c *Config, value any) error {
	field := reflect.ValueOf(c).Elem().FieldByIndex(k.index)
	if k.Type == reflect.TypeFor[[]string]() {
		list, err := stringList(value)
		if err != nil {
			return err
		}
		field.Set(reflect.ValueOf(list))
		return nil
	}
	switch value.(type) {
	case map[string]any, []any:
		return fmt.Errorf("must be a single value, a %s", k.typeName())
	case nil:
		return fmt.Errorf("must have a value, a %s", k.typeName())
	}
	text := strings.TrimSpace(fmt.Sprint(value))
	typed := reflect.New(k.Type).Elem()
	if err := setText(typed, text); err != nil {
		return fmt.Errorf("%q is no %s", text, k.typeName())
	}
	field.Set(typed) // a value that cannot be read leaves the old one
	return nil
}

func setText(field reflect.Value, text string) error {
	if field.Type() == reflect.TypeFor[time.Duration]() {
		d, err := time.ParseDuration(text)
		field.SetInt(int64(d))
		return err
	}
	switch field.Kind() {
	case reflect.String:
		field.SetString(text)
	case reflect.Bool:
		b, err := strconv.ParseBool(text)
		field.SetBool(b)
		return err
	case reflect.Int:
		n, err := strconv.ParseInt(text, 10, 64)
		field.SetInt(n)
		return err
	case reflect.Float64:
		x, err := strconv.ParseFloat(text, 64)
		field.SetFloat(x)
		return err
	default:
		return fmt.Errorf("no way to set a %s", field.Type())
	}
	return nil
}

func stringList(value any) ([]string, error) {
	var list []string
	switch v := value.(type) {
	case nil:
	case []any:
		for _, item := range v {
			list = append(list, strings.TrimSpace(fmt.Sprint(item)))
		}
	case []string:
		list = append(list, v...)
	case string:
		for item := range strings.SplitSeq(v, ",") {
			if item = strings.TrimSpace(item); item != "" {
				list = append(list, item)
			}
		}
	default:
		return nil, fmt.Errorf("%v is no list", value)
	}
	return list, nil
}

func (k Key) typeName() string {
	switch k.Type {
	case reflect.TypeFor[time.Duration]():
		return "duration such as 1m30s"
	case reflect.TypeFor[[]string]():
		return "list"
	}
	switch k.Type.Kind() {
	case reflect.Bool:
		return "boolean (true or false)"
	case reflect.Int:
		return "whole number"
	case reflect.Float64:
		return "number"
	default:
		return "text"
	}
}

// nearest is the candidate with the fewest edits from name, empty when all are
// too far to be meant.
func nearest(name string, candidates []string) string {
	best, least := "", len(name)/2+1
	for _, c := range candidates {
		if d := edits(strings.ToLower(name), strings.ToLower(c)); d < least {
			best, least = c, d
		}
	}
	return best
}

// edits is the Levenshtein distance.
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
