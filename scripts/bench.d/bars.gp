# Bar chart of one row of the benchmark.
# Variables, given with -e: data (file with lines "peer" median min max "median as text"), bars (their number),
# chart (SVG file to write), heading.
#
# The chart has no background. Each opaque colour has a contrast of at least 3:1 to a white page and to a dark one
# (#0d1117); the bars' fill and the grid are paler.
set terminal svg size 720,400 font "sans-serif,13"
set output chart
ink = "#797979"
bar = "#3b75af"
set title heading noenhanced textcolor rgb ink
set style fill transparent solid 0.4 border rgb bar
set boxwidth 0.6
set yrange [0:*]
set offsets 0, 0, graph 0.06, 0
margin = bars < 5 ? (5 - bars) / 2.0 : 0  # few bars are not wide ones
set xrange [-0.6 - margin:bars - 0.4 + margin]
set grid ytics linetype 1 linecolor rgb "#b0797979"
set border 3 linecolor rgb ink
set ytics nomirror textcolor rgb ink
set xtics nomirror scale 0 textcolor rgb ink noenhanced
unset key
# Bars are medians, the thin lines reach from the slowest round to the fastest.
plot data using 0:2:xtic(1) with boxes linecolor rgb bar, \
     "" using 0:3:(0):($4 - $3) with vectors nohead linecolor rgb ink, \
     "" using 0:4:5 with labels offset 0, 0.6 textcolor rgb ink noenhanced
