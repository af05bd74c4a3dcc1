"""What arrived, by study and series: shown, verified, exported, removed."""
