{{drop "tombstones"}}
{{drop "installation_keys"}}
