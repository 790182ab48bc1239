package cli

// The examples of each command, one per line.
const (
	appExamples = `laminate package docker://ghcr.io/acme/java:1.2.3 --flatten-layers
laminate builder create acme/builder --config builder.toml --flatten=auto
laminate help builder create`

	packageExamples = `laminate package java.cnb
laminate package java.cnb --config package.toml --flatten-layers
laminate package docker://ghcr.io/acme/java:1.2.3 --path ./java
laminate package oci:out --flatten-layers=all --dry-run`

	extensionExamples = `laminate extension package curl.cnb --path ./curl
laminate extension package docker://ghcr.io/acme/curl:1.0.0`

	builderExamples = `laminate builder create acme/builder --config builder.toml
laminate builder create docker://acme/builder -c builder.toml --flatten=auto
laminate builder create oci:out -c builder.toml --flatten=all --dry-run`

	builderGroupExamples = `laminate builder create acme/builder --config builder.toml
laminate builder smoke acme/builder --app samples/java
laminate builder history acme/builder --file history.json.gz
laminate builder simulate --history history.json.gz
laminate builder update builder.toml`

	historyExamples = `laminate builder history ghcr.io/acme/builder --last 20
laminate builder history acme/builder --file history.json.gz`

	smokeExamples = `laminate builder smoke acme/builder --app samples/java
laminate builder smoke oci:builder --app app --output-layout image
laminate builder smoke acme/builder --app one --app two --output junit
laminate builder smoke oci:builder --app app -b ./mine -b from=builder`

	updateExamples = `laminate update builder.toml
laminate update package.toml --only minor
laminate update builder.toml --check --output markdown`

	simulateExamples = `laminate builder simulate --history history.json.gz
laminate builder simulate --history history.json.gz --plan auto
laminate builder simulate --history history.json.gz --output svg > curve.svg`

	inspectExamples = `laminate inspect acme/builder
laminate inspect oci:out --output json
laminate inspect oci:out --output html > builder.html
laminate inspect ghcr.io/acme/java:1.2.3 --target linux/arm64`

	verifyExamples = `laminate verify acme/builder
laminate verify docker://acme/builder --key cosign.pub
laminate verify oci:out --output json
laminate verify oci:flattened --against oci:exploded`

	flattenExamples = `laminate flatten acme/builder docker://acme/builder:flat
laminate flatten docker://acme/builder oci:out --flatten=auto --max-layers 40
laminate flatten docker://ghcr.io/acme/java:1.2.3 java.cnb --flatten=none`

	releaseExamples = `laminate release --release-version 1.2.3
laminate release --config release.toml --notes notes.md
laminate release --dry-run`

	cacheExamples = `laminate cache info
laminate cache clean`

	completionExamples = `laminate completion bash > /etc/bash_completion.d/laminate
laminate completion zsh > ~/.zfunc/_laminate
laminate completion fish > ~/.config/fish/completions/laminate.fish`

	versionExamples = `laminate version
laminate version --output json`

	helpExamples = `laminate help package
laminate help builder create`

	docsExamples = `laminate docs man > laminate.1
laminate docs markdown > docs/reference.md`

	diffExamples = `laminate diff acme/builder:1.0.0 acme/builder:1.1.0
laminate diff acme/builder:1.0.0 oci:out --target linux/amd64
laminate diff acme/java:1.2.0 acme/java:1.3.0 --output markdown > notes.md`

	configExamples = `laminate config experimental true`
)
