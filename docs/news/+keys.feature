Keys with a segment `.` or `..` are not written unless `disable_kv_key_validation` says so, as in Consul from 1.22 on (CVE-2025-11392); such keys of before can be read and deleted.
