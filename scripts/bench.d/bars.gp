# Bar chart of one row of the benchmark.
# Variables, given with -e: data (file with lines "peer" median min max), bars (their number),
# chart (SVG file to write), heading.
set terminal svg size 720,400 font "sans-serif,13" background "white"
set output chart
set title heading noenhanced
set style fill solid 0.8 noborder
set boxwidth 0.6
set yrange [0:*]
set xrange [-0.6:bars - 0.4]
set grid ytics linetype 1 linecolor rgb "#dddddd"
set border 3
set tics nomirror
set xtics noenhanced
unset key
# Bars are medians, the thin lines reach from the slowest round to the fastest.
plot data using 0:2:xtic(1) with boxes linecolor rgb "#3b75af", \
     "" using 0:2:3:4 with yerrorbars linecolor rgb "#222222" pointtype 7 pointsize 0.3
