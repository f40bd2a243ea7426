"""The benchmark: what scripts/bench runs.

  command       the arguments and the rounds
  self_test     tests of statistics, report and parsers
  report        tables and charts
  measurements  how everything is measured, and the rows
  places        loopback and network namespaces, with the target and the web server in them
  peers         what is compared, and how each is configured
  statistics    samples, medians, ratios, the result file
  processes     children, their CPU time, memory, descriptors and system calls

Each part uses only those below it. The load generator is a program of its own (load.h), and so is the one that
measures rules (rules.cc).
"""
