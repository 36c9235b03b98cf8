// Reads what `go test -json` and vitest wrote and prints a line a package, the
// whole output of whatever failed, and a closing line with the counts.
//
//   node summary.mjs GO.json PAGES.json STATUS-OF-GO-TEST
import { readFileSync } from 'node:fs'

const [goFile, pagesFile, status] = process.argv.slice(2)
const count = { pass: 0, fail: 0, skip: 0 }
const output = new Map()

for (const line of readFileSync(goFile, 'utf8').split('\n')) {
  if (!line.startsWith('{')) {
    if (line) console.log(line)
    continue
  }
  const event = JSON.parse(line)
  const name = `${event.Package ?? event.ImportPath ?? ''} ${event.Test ?? ''}`
  if (event.Action === 'output' || event.Action === 'build-output') {
    output.set(name, (output.get(name) ?? '') + event.Output)
  } else if (event.Action in count) {
    if (event.Action === 'fail') console.log(`--- FAIL: ${name}\n${output.get(name) ?? ''}`)
    if (event.Test) count[event.Action]++
    else if (event.Action === 'pass') console.log(`ok   ${event.Package} (${event.Elapsed} s)`)
    output.delete(name)
  } else if (event.Action === 'build-fail') {
    console.log(`--- does not build: ${name}\n${output.get(name) ?? ''}`)
  }
}

const pages = JSON.parse(readFileSync(pagesFile, 'utf8'))
count.pass += pages.numPassedTests
count.fail += pages.numFailedTests
count.skip += pages.numPendingTests

if (status !== '0' && count.fail === 0) count.fail = 1 // it did not build, or was stopped
console.log(`${count.pass} passed, ${count.fail} failed, ${count.skip} skipped`)
process.exit(count.fail > 0 || count.pass === 0 ? 1 : 0)
