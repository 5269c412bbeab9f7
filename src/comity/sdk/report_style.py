"""The looks of a report on paper (A4 or letter, black ink) and on a screen. No fonts, images or scripts."""

from __future__ import annotations

STYLE = """
:root { --ink: #14202b; --soft: #5b6873; --line: #d5dce2; --tint: #f4f7f9; --accent: #0b5c7a;
  --bad: #9c2b1f; }
* { box-sizing: border-box; }
body { margin: 0; background: #e9edf0; color: var(--ink);
  font: 10.5pt/1.45 "Source Sans 3", "Segoe UI", "Helvetica Neue", Arial, sans-serif; }
main { max-width: 210mm; margin: 8mm auto; padding: 16mm 17mm; background: #fff;
  box-shadow: 0 1px 6px rgba(20, 32, 43, .18); }
header { border-bottom: 2.5pt solid var(--accent); padding-bottom: 4mm; margin-bottom: 6mm; }
header .kind { margin: 0; color: var(--accent); text-transform: uppercase; letter-spacing: .09em;
  font-size: 8.5pt; font-weight: 600; }
h1 { margin: 1mm 0 0; font-size: 20pt; line-height: 1.2; font-weight: 650; overflow-wrap: anywhere; }
h1 span, .period span { color: var(--soft); font-weight: 400; }
.period { margin: 1.5mm 0 0; font-size: 11.5pt; }
h2 { margin: 8mm 0 2.5mm; font-size: 13pt; font-weight: 650; break-after: avoid; }
h3 { margin: 0 0 1mm; font-size: 8.5pt; text-transform: uppercase; letter-spacing: .06em;
  color: var(--soft); }
p { margin: 0 0 2mm; }
.parties { display: grid; grid-template-columns: 1fr 1fr; gap: 5mm; }
.party { border: .6pt solid var(--line); border-radius: 1.5mm; padding: 3mm 3.5mm; }
.party .name { font-size: 12pt; font-weight: 600; margin: 0; overflow-wrap: anywhere; }
.party .mono { margin: 1.5mm 0 0; }
.mono, code, pre { font-family: "Source Code Pro", Consolas, "DejaVu Sans Mono", monospace; }
.mono { font-size: 7.4pt; color: var(--soft); overflow-wrap: anywhere; }
code { font-size: 9pt; background: var(--tint); padding: 0 1mm; border-radius: .7mm; }
pre { font-size: 7.4pt; background: var(--tint); border: .6pt solid var(--line); border-radius: 1.5mm;
  padding: 2.5mm 3mm; white-space: pre-wrap; overflow-wrap: anywhere; }
.note { color: var(--soft); font-size: 8.5pt; }
.none { color: var(--soft); font-style: italic; }
.summary { display: grid; grid-template-columns: repeat(5, 1fr); margin-top: 5mm;
  border: .6pt solid var(--line); border-radius: 1.5mm; }
.summary div { padding: 3mm; border-left: .6pt solid var(--line); }
.summary div:first-child { border-left: 0; }
.summary b { display: block; font-size: 14pt; line-height: 1.2; color: var(--accent); }
.summary span { font-size: 8.5pt; color: var(--soft); }
.warning { margin-top: 3mm; padding: 2.5mm 3mm; border: 1pt solid var(--bad); border-radius: 1.5mm;
  color: var(--bad); font-weight: 600; }
table { width: 100%; border-collapse: collapse; }
th { text-align: left; font-size: 8.5pt; color: var(--soft); font-weight: 600; }
td, th { padding: 1.6mm 2.5mm 1.6mm 0; vertical-align: top; overflow-wrap: anywhere; }
.facts { border: .6pt solid var(--line); margin-bottom: 3mm; background: var(--tint); break-inside: avoid; }
.facts th { width: 42mm; padding-left: 3.5mm; }
.rows thead th { border-bottom: 1pt solid var(--ink); }
.rows tbody td { border-bottom: .5pt solid var(--line); font-size: 9pt; }
.rows tr, .appendix tr { break-inside: avoid; }
.numbered td:first-child { width: 11mm; color: var(--soft); font-variant-numeric: tabular-nums; }
.numbered td:nth-child(2) { width: 20mm; font-variant-numeric: tabular-nums; white-space: nowrap; }
.acts td:nth-child(3) { width: 42mm; } .refusals td:nth-child(3) { width: 58mm; }
.flows td:nth-child(3) { width: 19mm; } .flows td:last-child, .flows th:last-child { width: 16mm;
  text-align: right; white-space: nowrap; padding-right: 0; }
.rows .mono { font-size: 6.6pt; } .decisions { max-width: 110mm; }
.status { font-weight: 600; } .status.active { color: #1c6b3a; }
.status.revoked, .status.expired { color: var(--bad); }
.appendix { break-before: page; }
.appendix td { font: 5.6pt/1.35 Consolas, "DejaVu Sans Mono", monospace; color: var(--soft);
  border-bottom: .4pt solid var(--line); }
.appendix td:nth-child(2) { width: 30%; }
@page { size: A4; margin: 15mm 14mm 17mm; }
@media print { body { background: #fff; } main { margin: 0; padding: 0; max-width: none; box-shadow: none; }
  thead { display: table-header-group; } a { color: inherit; } }
"""
