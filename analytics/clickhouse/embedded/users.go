package embedded

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// User is one login of the engine.
type User struct {
	Name, Password string
}

// Names of the engine's users. UserDefault has no password.
const (
	UserWriter  = "usher"
	UserReader  = "usher_reader"
	UserDefault = "default"
)

// tableEngines are the only engines that the writer may create tables with: none
// of them reaches outside of the data folder.
const tableEngines = "Atomic,MergeTree,ReplacingMergeTree,AggregatingMergeTree,SummingMergeTree," +
	"CollapsingMergeTree,VersionedCollapsingMergeTree,Memory,Null,Join,Set,Buffer,Merge,Dictionary,Alias"

// systemTables are what a reader's tools (Grafana, clickhouse-go) ask for.
const systemTables = "one,numbers,numbers_mt,zeros,databases,tables,columns,functions,settings,parts,parts_columns," +
	"data_type_families,table_functions,table_engines,formats,contributors,build_options,time_zones,processes," +
	"metrics,asynchronous_metrics,events,disks,merges,mutations,server_settings,merge_tree_settings,replicas,clusters"

// password reads the password kept in file, or makes one of 192 random bits.
func password(file string) (string, error) {
	kept, err := os.ReadFile(file)
	if err == nil && len(strings.TrimSpace(string(kept))) > 0 {
		return strings.TrimSpace(string(kept)), nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("read password file: %w", err)
	}
	secret := make([]byte, 24)
	if _, err := rand.Read(secret); err != nil {
		return "", fmt.Errorf("make password: %w", err)
	}
	text := hex.EncodeToString(secret)
	if err := writeFile(file, text+"\n"); err != nil {
		return "", fmt.Errorf("keep password: %w", err)
	}
	return text, nil
}

// writeFile replaces file at once, readable by its owner alone.
func writeFile(file, text string) error {
	next := file + ".new"
	if err := os.WriteFile(next, []byte(text), 0o600); err != nil {
		return err
	}
	return os.Rename(next, file)
}

// usersXML renders the users, all of them for this machine only.
func usersXML(writer, reader User) string {
	const networks = "<ip>127.0.0.1</ip><ip>::1</ip>"
	var engines strings.Builder
	for engine := range strings.SplitSeq(tableEngines, ",") {
		engines.WriteString(grant("TABLE ENGINE ON " + engine))
	}
	var tables strings.Builder
	for table := range strings.SplitSeq(systemTables, ",") {
		tables.WriteString(grant("SELECT ON system." + table))
	}
	// No grant names a source, so file(), url(), s3(), remote() and executable()
	// are refused for everybody.
	return `<clickhouse>
  <profiles>
    <default><log_queries>0</log_queries></default>
    <writer><log_queries>0</log_queries></writer>
    <reader><readonly>2</readonly>` + limits() + `</reader>
    <local>` + limits() + `</local>
  </profiles>
  <quotas><default/></quotas>
  <users>
    <default><no_password/><networks>` + networks + `</networks><profile>local</profile><quota>default</quota><grants>` +
		grant("SYSTEM LISTEN ON *.*") + grant("SELECT ON usher.*") + `</grants></default>
    <` + writer.Name + `>` + secretXML(writer) + `<networks>` + networks + `</networks><profile>writer</profile><quota>default</quota><grants>` +
		grant("ALL ON usher.*") + grant("ALL ON usher_*.*") + grant("SHOW ON *.*") + grant("SELECT ON system.*") +
		grant("CREATE TEMPORARY TABLE ON *.*") + engines.String() + `</grants></` + writer.Name + `>
    <` + reader.Name + `>` + secretXML(reader) + `<networks>` + networks + `</networks><profile>reader</profile><quota>default</quota><grants>` +
		grant("SELECT ON usher.*") + tables.String() + `</grants></` + reader.Name + `>
  </users>
</clickhouse>
`
}

// limits keeps one reader from taking the whole machine. The profile's user may
// lower them, not raise them.
func limits() string {
	const (
		seconds = "60"
		most    = "300" // the driver asks for its own deadline plus five seconds
		memory  = "2147483648"
		threads = "4"
	)
	return "<log_queries>0</log_queries><max_execution_time>" + seconds + "</max_execution_time><max_memory_usage>" + memory +
		"</max_memory_usage><max_threads>" + threads + "</max_threads><constraints><max_execution_time><min>1</min><max>" + most +
		"</max></max_execution_time><max_memory_usage><min>1</min><max>" + memory + "</max></max_memory_usage></constraints>"
}

func grant(privilege string) string { return "<query>GRANT " + escape(privilege) + "</query>" }

func secretXML(u User) string {
	sum := sha256.Sum256([]byte(u.Password))
	return "<password_sha256_hex>" + hex.EncodeToString(sum[:]) + "</password_sha256_hex>"
}

func escape(text string) string {
	var b strings.Builder
	// A strings.Builder never returns an error.
	_ = xml.EscapeText(&b, []byte(text))
	return b.String()
}

// configXML renders the server's own settings: quiet logs in the data folder, for what
// queries say of people is erased from tables only; bounded memory, small pools. The
// library takes the level from log-level alone.
func configXML(dataDir string, memoryRatio float64) string {
	path := func(name string) string { return escape(filepath.Join(dataDir, name)) }
	return `<clickhouse>
  <user_directories><users_xml><path>` + path("users.xml") + `</path></users_xml></user_directories>
  <log-level>warning</log-level>
  <logger><level>warning</level><log>` + path("engine.log") + `</log><size>10M</size><count>3</count><console>0</console></logger>
  <max_server_memory_usage_to_ram_ratio>` + strconv.FormatFloat(memoryRatio, 'f', 3, 64) + `</max_server_memory_usage_to_ram_ratio>
  <mark_cache_size>268435456</mark_cache_size>
  <uncompressed_cache_size>0</uncompressed_cache_size>
  <background_pool_size>2</background_pool_size>
  <background_schedule_pool_size>4</background_schedule_pool_size>
  <max_concurrent_queries>64</max_concurrent_queries>
  <max_connections>256</max_connections>
  <timezone>UTC</timezone>
  <send_crash_reports><enabled>false</enabled></send_crash_reports>
</clickhouse>
`
}
