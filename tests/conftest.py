"""What holds for every test."""

from hypothesis import HealthCheck, settings

# A busy machine is no failure: nothing here is judged by the clock.
settings.register_profile("dulcet", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("dulcet")
