"""The benchmark: what scripts/bench runs.

  command       the arguments and the rounds
  peers         what is compared, and how each is configured
  places        loopback and network namespaces, with the target and the web server in them
  measurements  the rows, and how each is measured
  processes     children, their CPU time and memory
  statistics    samples, medians, ratios
  report        tables, files and charts

Each part uses those below it. The load generator is a program of its own, load.cc, and the one that measures rules is
rules.cc.
"""
