"""What an organiser needs: a practice leaderboard in a notebook, and the answers that it scores by.

A contest for a class is run from a terminal: `python -m medkit.leaderboard`.
"""

from medkit.leaderboard.serving import Leaderboard, start
from medkit.submission.csv_files import write_answers

__all__ = ["Leaderboard", "start", "write_answers"]
