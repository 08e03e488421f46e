-- A resolve can overtake its own firing (two Alertmanagers, a repeated delivery). The episode is then kept without an
-- incident, so that the late firing finds it over and opens none.
ALTER TABLE stanch.alert ALTER COLUMN incident_id DROP NOT NULL;
